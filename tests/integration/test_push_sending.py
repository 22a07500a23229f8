"""Push messages that are sent, and their content."""

from __future__ import annotations

import time
from concurrent.futures import wait
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from actors.channels import Deferred, ProviderDown
from tests.integration.pushing import DEVICE, KINDS, MESSAGES, service
from tests.providers.push_apis import Apns, Fcm
from tests.providers.push_keys import BROWSER
from tests.providers.server import answering

OF_ALL = pytest.mark.parametrize("kind", KINDS)
SOON = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)


@OF_ALL
def test_a_message_is_taken_and_the_receipt_has_the_services_id(kind: str, tmp_path: Path) -> None:
    with service(kind, tmp_path) as (_, fake, pusher):
        receipt = pusher.send()

    [taken] = fake.sink
    assert receipt.phase == "answer"
    assert receipt.reply_code == {"webpush": 201, "push+https": 202}.get(kind, 200)
    assert taken.headers.get("apns-id", "id-1") in receipt.text
    assert receipt.message_id
    assert receipt.message_id in receipt.text
    assert "Hi" in str(taken.content)
    assert "Hello" in str(taken.content)


def test_fcm_gets_the_fields_that_replace_the_first_copy_on_every_device(tmp_path: Path) -> None:
    options = {"data": {"order": "7"}, "badge": 3, "sound": "default", "url": "https://example.com/7"}
    rich = MESSAGES["fcm"]._replace(mail=options, expires_at=SOON, queue="push.high")
    with service("fcm", tmp_path) as (_, fake, pusher):
        pusher.send(rich)

    message = fake.sink[0].content
    assert message["notification"] == {"title": "Hi", "body": "Hello"}
    assert message["data"] == {"order": "7", "url": "https://example.com/7"}
    android, apns, web = message["android"], message["apns"], message["webpush"]
    assert (android["collapse_key"], android["priority"]) == ("5", "HIGH")
    assert 0 < int(android["ttl"].removesuffix("s")) <= 3_600
    assert android["notification"] == {"tag": "5", "sound": "default", "notification_count": 3}
    assert apns["headers"] == {
        "apns-collapse-id": "5",
        "apns-priority": "10",
        "apns-expiration": str(int(SOON.timestamp())),
    }
    assert apns["payload"] == {"aps": {"badge": 3, "sound": "default"}}
    assert (web["headers"]["Topic"], web["headers"]["Urgency"]) == ("5", "high")
    assert web["fcm_options"] == {"link": "https://example.com/7"}


def test_apns_gets_the_headers_that_replace_the_first_copy(tmp_path: Path) -> None:
    options = {"data": {"order": "7"}, "badge": 0, "sound": "ding.caf"}
    rich = MESSAGES["apns"]._replace(mail=options, expires_at=SOON, queue="push.bulk")
    with service("apns", tmp_path) as (_, fake, pusher):
        pusher.send(rich)
        pusher.send(rich)

    first, second = fake.sink
    assert first == second
    assert first.token == DEVICE
    assert first.content == {
        "aps": {"alert": {"title": "Hi", "body": "Hello"}, "badge": 0, "sound": "ding.caf"},
        "order": "7",
    }
    headers = first.headers
    assert headers["apns-collapse-id"] == "5"
    assert headers["apns-push-type"] == "alert"
    assert headers["apns-priority"] == "5"
    assert headers["apns-expiration"] == str(int(SOON.timestamp()))
    assert len(headers["apns-id"]) == 36


def test_a_web_push_message_can_be_decrypted_by_the_browser_only(tmp_path: Path) -> None:
    rich = MESSAGES["webpush"]
    rich = rich._replace(mail={**(rich.mail or {}), "data": {"a": "ü"}, "url": "/7"}, expires_at=SOON)
    with service("webpush", tmp_path) as (server, fake, pusher):
        pusher.send(rich)
        pusher.send(rich)

    taken = fake.sink[0]
    assert taken.token == "/s/1?a=b"
    assert taken.content == {"title": "Hi", "body": "Hello", "tag": "5", "data": {"a": "ü"}, "url": "/7"}
    assert (taken.headers["topic"], taken.headers["urgency"]) == ("5", "normal")
    assert taken.headers["aud"] == "https://push.example.com"
    assert 0 < int(taken.headers["ttl"]) <= 3_600
    first, second = server.requests
    assert b"Hello" not in first.body
    assert first.body[:85] != second.body[:85]  # the salt and the key are new


def test_web_push_keeps_a_message_without_expiry_for_four_weeks(tmp_path: Path) -> None:
    with service("webpush", tmp_path) as (_, fake, pusher):
        pusher.send()

    assert fake.sink[0].headers["ttl"] == "2419200"


def test_the_access_token_is_fetched_once_for_many_senders(tmp_path: Path) -> None:
    with service("fcm", tmp_path) as (_, fake, pusher):
        started = [pusher.start() for _ in range(20)]
        wait(started)

    assert isinstance(fake, Fcm)
    assert [one.result().reply_code for one in started] == [200] * 20
    assert fake.tokens == 1


def test_a_refused_access_token_is_replaced_once_and_no_message_is_lost(tmp_path: Path) -> None:
    with service("fcm", tmp_path) as (_, fake, pusher):
        assert isinstance(fake, Fcm)
        pusher.send()
        fake.valid_from = 2
        started = [pusher.start() for _ in range(10)]
        wait(started)

    assert [one.result().reply_code for one in started] == [200] * 10
    assert fake.tokens == 2
    assert len(fake.sink) == 11


def test_an_account_refused_with_a_new_token_means_that_the_provider_is_down(tmp_path: Path) -> None:
    with service("fcm", tmp_path) as (_, fake, pusher):
        assert isinstance(fake, Fcm)
        fake.valid_from = 9
        error = pusher.failure()

    assert isinstance(error, ProviderDown)
    assert error.receipt.reply_code == 401
    assert fake.tokens == 2


def test_no_message_is_sent_without_an_access_token(tmp_path: Path) -> None:
    with service("fcm", tmp_path) as (server, fake, pusher):
        server.faults.append(answering(400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}))  # type: ignore[arg-type]
        error = pusher.failure()
        assert not fake.sink
        pusher.send()

    assert isinstance(error, ProviderDown)
    assert error.receipt.phase == "login"
    assert "invalid_grant: Invalid JWT Signature." in str(error)


def test_one_connection_carries_many_messages_to_apple_at_a_time(tmp_path: Path) -> None:
    with service("apns", tmp_path) as (server, fake, pusher):
        started = [pusher.start(MESSAGES["apns"]._replace(id=number)) for number in range(60)]
        wait(started)

        assert server.connections == 1
    assert isinstance(fake, Apns)
    assert [one.result().reply_code for one in started] == [200] * 60
    assert len(fake.tokens) == 1
    assert {taken.headers["apns-collapse-id"] for taken in fake.sink} == {str(number) for number in range(60)}


@OF_ALL
def test_a_message_that_another_worker_has_claimed_is_not_sent(kind: str, tmp_path: Path) -> None:
    with service(kind, tmp_path) as (_, fake, pusher), pytest.raises(Deferred, match="another worker"):
        pusher.send(begin=lambda: False)

    assert not fake.sink


def test_a_custom_service_gets_recipients_of_all_kinds_and_each_message_once(tmp_path: Path) -> None:
    with service("push+https", tmp_path) as (_, fake, pusher):
        for number, kind in enumerate(("fcm", "apns", "webpush")):
            message = MESSAGES[kind]._replace(id=number, expires_at=SOON)
            assert pusher.provider.takes(message)
            assert pusher.send(message) == pusher.send(message)

    assert [taken.content["recipient"] for taken in fake.sink] == [
        *("fcm:token-a", f"apns:{DEVICE}", "webpush:https://push.example.com/s/1?a=b")
    ]
    content = fake.sink[2].content
    assert content == {
        **{"id": "2", "title": "Hi", "body": "Hello", "recipient": content["recipient"], "priority": "normal"},
        **{"expiresAt": SOON.strftime("%Y-%m-%dT%H:%M:%SZ"), "keys": BROWSER.keys},
    }


@pytest.mark.parametrize("kind", ["fcm", "apns", "webpush"])
def test_a_recipient_of_another_kind_is_left_to_another_provider(kind: str, tmp_path: Path) -> None:
    other = MESSAGES["apns" if kind == "fcm" else "fcm"]
    with service(kind, tmp_path) as (_, fake, pusher):
        assert pusher.provider.takes(MESSAGES[kind])
        assert not pusher.provider.takes(other)
        error = pusher.failure(other)

    assert isinstance(error, ProviderDown)
    assert error.receipt.phase == "compose"
    assert not fake.sink


@OF_ALL
def test_senders_count_as_open_connections_while_they_work(kind: str, tmp_path: Path) -> None:
    with service(kind, tmp_path) as (_, _, pusher):
        assert pusher.provider.limits.open == 0
        pusher.send()
        assert pusher.provider.limits.open == 1
    assert pusher.provider.limits.open == 0
    assert pusher.provider.limits.pause(time.monotonic()) == 0
