"""Documents of push messages: what is refused, with the field and the fix, and what is stored."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from actors.channels.contract import Rights
from actors.channels.push.document import Reader, shown
from actors.channels.push.payloads import LIMITS
from actors.channels.push.recipients import masked
from tests.providers.push_keys import BROWSER

DEVICE = "0A" * 32
RECIPIENTS = {"fcm": "fcm:abc:DEF-_1", "apns": f"apns:{DEVICE}", "webpush": "webpush:https://push.example.com/s/1"}


def document(kind: str = "fcm", **fields: Any) -> dict[str, Any]:
    keys = {"keys": BROWSER.keys} if kind == "webpush" else {}
    return {"type": "push", "recipient": RECIPIENTS[kind], "message": "Hello", **keys, **fields}


def faults(given: dict[str, Any]) -> dict[str, str]:
    read = Reader(()).read(given, Rights())
    assert (read.content is None) == bool(read.faults)
    return {fault["pointer"]: fault["detail"] for fault in read.faults}


@pytest.mark.parametrize("kind", sorted(RECIPIENTS))
def test_the_recipient_of_a_push_message_is_stored_normalised(kind: str) -> None:
    content = Reader(()).read(document(kind, badge=1), Rights()).content

    assert content is not None
    assert content.recipient == (RECIPIENTS[kind].lower() if kind == "apns" else RECIPIENTS[kind])
    assert (content.subject, content.message) == ("", "Hello")
    assert content.options == {"badge": 1, **({"keys": BROWSER.keys} if kind == "webpush" else {})}


@pytest.mark.parametrize(
    ("recipient", "said"),
    [
        ("abc", "must begin with fcm:, apns: or webpush:"),
        ("FCM:abc", "must begin with fcm:, apns: or webpush:"),
        ("fcm:", "must have a registration token"),
        ("fcm:a b", "must have a registration token"),
        ("fcm:a\r\nb", "must have a registration token"),
        ("fcm:" + "x" * 1_025, "must have a registration token"),
        ("apns:" + "0" * 62, "must have a device token of 64 to 200 hexadecimal digits"),
        ("apns:" + "0" * 65, "must have a device token of 64 to 200 hexadecimal digits"),
        ("apns:" + "g" * 64, "must have a device token of 64 to 200 hexadecimal digits"),
        ("apns:" + "\u0660" * 64, "must have a device token of 64 to 200 hexadecimal digits"),
        ("webpush:http://push.example.com/1", "must begin with https://"),
        ("webpush:https://user@push.example.com/1", "must not contain a user"),
        ("webpush:https://127.0.0.1/1", "leads to an address that is not public"),
        ("webpush:https://push.example.com:22/1", "must use port 80, 443"),
        ("webpush:https://push.example.com/" + "x" * 2_000, "must be a URL of at most 2000"),
    ],
)
def test_a_malformed_recipient_is_refused(recipient: str, said: str) -> None:
    given = document(recipient=recipient) | ({"keys": BROWSER.keys} if recipient.startswith("webpush") else {})

    assert said in faults(given)["/recipient"]


def test_a_server_in_an_allowed_network_is_accepted() -> None:
    reader = Reader((ipaddress.ip_network("10.0.0.0/8"),))

    assert reader.read(document("webpush", recipient="webpush:http://10.1.1.1/1"), Rights()).content


def test_the_keys_of_a_subscription_are_required_for_web_push_and_only_for_it() -> None:
    without = document("webpush")
    del without["keys"]
    assert "are required for webpush" in faults(without)["/keys"]
    assert "leave them out" in faults(document("fcm", keys=BROWSER.keys))["/keys"]
    wrong = {"p256dh": BROWSER.keys["auth"], "auth": BROWSER.keys["p256dh"]}
    assert set(faults(document("webpush", keys=wrong))) == {"/keys/p256dh", "/keys/auth"}


@pytest.mark.parametrize("name", ["aps", "from", "message_type", "google.x", "googles", "gcm", "gcm.notification.x"])
def test_a_data_field_with_a_reserved_name_is_refused(name: str) -> None:
    assert "push services use themselves" in faults(document(data={name: "x"}))[f"/data/{name}"]


def test_a_url_in_both_url_and_data_is_refused() -> None:
    assert (
        "already given by the field url" in faults(document(url="https://example.com", data={"url": "x"}))["/data/url"]
    )


@pytest.mark.parametrize("kind", sorted(RECIPIENTS))
def test_a_message_above_the_size_limit_is_refused_with_its_size(kind: str) -> None:
    given = document(kind, subject="ü", data={"a": "€"}, url="/1")
    said = faults({**given, "message": "x" * 5_000})["/message"]
    taken = int(said.split("it takes ")[1].split(" ")[0])
    longest = 5_000 - (taken - LIMITS[kind])

    assert not faults({**given, "message": "x" * longest})
    assert (
        f"it takes {LIMITS[kind] + 1} bytes, and {kind}: takes {LIMITS[kind]}"
        in (faults({**given, "message": "x" * (longest + 1)})["/message"])
    )


def test_a_document_with_faults_is_checked_in_its_other_fields_too() -> None:
    assert not Reader(()).read({"type": "push"}, Rights()).faults
    assert set(faults({"type": "push", "recipient": "x", "data": {"aps": "x"}})) == {"/recipient", "/data/aps"}


def test_the_keys_of_a_subscription_are_not_shown() -> None:
    assert shown({"keys": BROWSER.keys, "badge": 0}, "Hello") == {
        **{"data": None, "badge": 0, "sound": None, "url": None, "registeredAt": None}
    }


def test_logs_show_no_token_that_could_be_sent_to() -> None:
    assert masked("fcm:abcdefghijkl") == "fcm:abcdef..."
    assert masked(RECIPIENTS["webpush"]) == "webpush:https://push.example.com/..."
