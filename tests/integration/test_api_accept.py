"""POST /api/notifications: the stored row, and the reasons for refusing a document."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from api.schemas.documents import Documents
from cli.servers.valkey import Valkey
from settings import read
from tests.client import NOTIFICATIONS
from tests.contract import CheckedClient, faults
from tests.integration.api import Api, running

KNOWN = ", ".join(Documents(read({})).fields("email"))
NO_MAIL: dict[str, Any] = {
    **dict.fromkeys(["from", "replyTo", "recipientName", "unsubscribe"]),
    **{"cc": [], "bcc": [], "headers": {}, "attachments": []},
}
NEEDED = {"type": "email", "recipient": "test@example.com", "message": "Hello"}


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(module_database_url, redis_server.url, subject_limit=20, message_limit=50, html_limit=60) as api:
        yield api


@pytest.fixture
def client(api: Api) -> CheckedClient:
    return api.client


def test_the_answer_to_a_post_equals_a_later_get(client: CheckedClient) -> None:
    accepted = client.post(NOTIFICATIONS, NEEDED)

    assert accepted.status == 201
    shown = client.get(accepted.headers["location"])
    assert shown.json == accepted.json
    assert accepted.json == {
        **NEEDED,
        "id": accepted.json["id"],
        "subject": "Notification",
        "html": None,
        "onUncertain": "resend",
        "failover": "safe",
        "template": None,
        "sandbox": False,
        "priority": "normal",
        "sendAt": None,
        "expiresAt": None,
        "tags": [],
        "metadata": {},
        "status": "pending",
        "attemptCount": 0,
        "retryCount": 0,
        "lastError": None,
        "failureReason": None,
        "deliveryStatus": None,
        "deliveryEvidence": None,
        "createdAt": accepted.json["createdAt"],
        "nextAttemptAt": accepted.json["createdAt"],
        "finishedAt": None,
        "erasedAt": None,
        **NO_MAIL,
    }


def test_a_later_notification_has_a_greater_id(client: CheckedClient) -> None:
    first, second = (client.post(NOTIFICATIONS, NEEDED).json["id"] for _ in range(2))

    assert first < second


@pytest.mark.parametrize(
    "given",
    [
        {"subject": "Grüße 🎉", "html": "<p>Hé</p>"},
        {"subject": "\u3000お知らせ\u3000"},
        {"subject": "👨\u200d👩\u200d👧 نمی\u200cشود\xa0!"},
        {"message": " \t\r\n.\r\n\x01\x7f\u2028\ufffe\U0010ffff'\"\\%s{}$1"},
        {"message": "x" * 50, "subject": "🎉" * 20, "html": "y" * 60},
        {"recipient": "jörg@exämple.com"},
        {"recipient": "a@intern.local"},
        {"recipient": "O'Brien+tag%x@EXAMPLE.com"},
    ],
)
def test_text_is_stored_exactly_as_it_was_sent(client: CheckedClient, given: dict[str, str]) -> None:
    accepted = client.post(NOTIFICATIONS, NEEDED | given)

    assert accepted.status == 201
    shown = client.notification(accepted.json["id"])
    assert {name: shown[name] for name in given} == given


def test_every_fault_is_listed_once_and_nothing_is_stored(client: CheckedClient) -> None:
    before = client.get(NOTIFICATIONS, limit=1).json["items"][0]["id"]

    refused = client.post(
        NOTIFICATIONS, {"type": "pigeon", "recipient": "nobody", "subject": "a\nb", "html": "", "to": 1, "~/": 2}
    )

    assert refused.status == 422
    found = faults(refused)
    assert found.pop("/recipient").startswith("must be a mail address such as name@example.com: ")
    assert found == {
        "/type": "must be one of: email, sms, push, chat, webhook",
        "/subject": "must be one line without control characters",
        "/html": "must not be empty",
        "/message": "is required",
        "/to": f"is not a known field; known are {KNOWN}",
        "/~0~1": f"is not a known field; known are {KNOWN}",
    }
    assert len(refused.json["errors"]) == 7
    assert client.get(NOTIFICATIONS, limit=1).json["items"][0]["id"] == before


def test_each_missing_field_is_named_once(client: CheckedClient) -> None:
    refused = client.post(NOTIFICATIONS, {})

    assert [fault["pointer"] for fault in refused.json["errors"]] == ["/type", "/recipient", "/message"]


def test_at_most_a_hundred_faults_are_listed(client: CheckedClient) -> None:
    refused = client.post(NOTIFICATIONS, {f"unknown{n}": 1 for n in range(5000)})

    assert refused.status == 422
    assert len(refused.json["errors"]) == 100
    assert refused.json["detail"].startswith("The request has more than 100 faults")


@pytest.mark.parametrize("value", [None, True, 1, 1.5, 10**29, [], {}, ["a"]])
@pytest.mark.parametrize("field", ["type", "recipient", "subject", "message", "html"])
def test_a_field_of_a_wrong_type_is_refused(client: CheckedClient, field: str, value: Any) -> None:
    refused = client.post(NOTIFICATIONS, NEEDED | {field: value})

    assert refused.status == 422
    assert {"pointer": f"/{field}", "detail": "must be a string"} in refused.json["errors"]


@pytest.mark.parametrize(
    ("field", "value", "detail"),
    [
        ("subject", "s" * 21, "must have at most 20 characters, has 21"),
        ("message", "m" * 51, "must have at most 50 characters, has 51"),
        ("html", "h" * 61, "must have at most 60 characters, has 61"),
        ("recipient", "r" * 300 + "@example.com", "must have at most 254 characters, has 312"),
        ("message", "", "must not be empty"),
        ("subject", "", "must not be empty"),
        ("message", "a\0b", "must not contain the character U+0000"),
        ("html", "\0", "must not contain the character U+0000"),
        ("subject", "a\0", "must be one line without control characters"),
        ("subject", "a\r\nBcc: x@example.com", "must be one line without control characters"),
        ("subject", "a\u2028b", "must be one line without control characters"),
        ("subject", "a\x85b", "must be one line without control characters"),
    ],
)
def test_a_value_out_of_bounds_is_refused(client: CheckedClient, field: str, value: str, detail: str) -> None:
    refused = client.post(NOTIFICATIONS, NEEDED | {field: value})

    assert refused.status == 422
    assert faults(refused) == {f"/{field}": detail}


@pytest.mark.parametrize(
    "recipient",
    [
        "",
        "nobody",
        "@example.com",
        "a@",
        "a@@example.com",
        "A <a@example.com>",
        "a@example.com, b@example.com",
        "a@example.com\r\nRCPT TO:<b@example.com>",
        " a@example.com",
        "a@example.com ",
        "a@example.com\n",
        "a\0@example.com",
        "a@-example.com",
        "a@exa mple.com",
        "a@[127.0.0.1]",
        '"a b"@example.com',
        "\u202ea@example.com",
    ],
)
def test_recipient_that_is_not_a_single_address_is_refused(client: CheckedClient, recipient: str) -> None:
    refused = client.post(NOTIFICATIONS, NEEDED | {"recipient": recipient})

    assert refused.status == 422
    assert list(faults(refused)) == ["/recipient"]


def test_the_log_names_each_notification_by_id_without_recipient_or_content(api: Api) -> None:
    request_id = "follow-me"
    secrets = {"recipient": "very.private@example.com", "subject": "hush-subject", "message": "hush-message"}
    accepted = api.client.request(
        "POST",
        NOTIFICATIONS,
        json.dumps(NEEDED | secrets).encode(),
        {"Content-Type": "application/json", "X-Request-ID": request_id},
    )
    api.client.post(NOTIFICATIONS, {"type": "hush-type", "recipient": "other private@", "hush-field": 1})

    line, request = [event for event in map(json.loads, api.events) if event.get("request_id") == request_id]
    assert (line["event"], line["id"]) == ("notification.accepted", accepted.json["id"])
    assert (request["event"], request["method"], request["status"]) == ("request", "POST", 201)
    assert request["route"] == "/api/notifications"
    assert line["recipient"].startswith("example.com#")
    assert not [word for word in ("private", "hush") if word in api.log]
