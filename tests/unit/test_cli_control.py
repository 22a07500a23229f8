"""`notify cancel`, `retry`, `pause`, `resume`, and the options of `send` for times."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.unit.test_cli_client import SENT, Api, api

__all__ = ["api"]

NOTIFICATIONS = "/api/notifications"
PAUSE = {"kind": "client", "name": "def\x1b[31mault", "paused": True, "since": "2024-01-01T10:00:00Z"}


def body(api: Api, place: int = 0) -> Any:
    return json.loads(api.asked[place][2])


def about(text: str, delta: timedelta) -> bool:
    return abs(datetime.fromisoformat(text) - datetime.now(UTC) - delta) < timedelta(minutes=1)


@pytest.mark.parametrize(("word", "status"), [("cancel", "cancelled"), ("retry", "pending")])
def test_cancel_and_retry_take_the_id_of_a_notification(api: Api, word: str, status: str) -> None:
    api.will_say(SENT | {"status": status})
    shown = api.run(word, "5")
    assert (shown.exit_code, shown.output) == (0, f"Notification 5: {status}\n")
    assert api.asked == [("POST", f"{NOTIFICATIONS}/5/{word}", b"")]


def test_a_refusal_is_exit_code_1_with_its_reason(api: Api) -> None:
    api.will_say({"detail": "The notification is sent; only one that is pending can be cancelled."}, status=409)
    refused = api.run("cancel", "5")
    assert refused.exit_code == 1
    assert "The notification is sent" in refused.output


def test_failed_notifications_are_retried_page_by_page(api: Api) -> None:
    api.will_say({"retried": 1000, "nextCursor": "abc"}, {"retried": 7, "nextCursor": None})
    shown = api.run(
        "retry",
        "--failed",
        "--since",
        "1h",
        "--reason",
        "exhausted",
        "--recipient",
        "a@example.com",
        "--tag",
        "t",
        "--priority",
        "bulk",
    )
    assert (shown.exit_code, shown.output) == (0, "Retried: 1007\n")
    first, second = body(api), body(api, 1)
    assert about(first["filter"].pop("createdFrom"), -timedelta(hours=1))
    assert first == {
        "filter": {"failureReason": "exhausted", "recipient": "a@example.com", "priority": "bulk", "tag": "t"}
    }
    assert second["cursor"] == "abc"


@pytest.mark.parametrize(("more", "said"), [(False, "12"), (True, "more than 12")])
def test_a_dry_run_prints_the_number_of_matches(api: Api, more: bool, said: str) -> None:
    api.will_say({"matched": 12, "more": more})
    shown = api.run("retry", "--failed", "--dry-run")
    assert (shown.exit_code, shown.output) == (0, f"Would be retried: {said}\n")
    assert body(api) == {"filter": {}, "dryRun": True}


@pytest.mark.parametrize(
    "words",
    [[], ["5", "--failed"], ["5", "--dry-run"], ["5", "--since", "1h"], ["--dry-run"], ["--failed", "--reason", "x"]],
)
def test_conflicting_options_of_retry_are_a_usage_error(api: Api, words: list[str]) -> None:
    assert api.run("retry", *words).exit_code == 2
    assert api.asked == []


def test_json_output_is_the_document_of_the_api_or_the_sum(api: Api) -> None:
    api.will_say({"retried": 3, "nextCursor": None})
    assert json.loads(api.run("retry", "--failed", "--json").output) == {"retried": 3}
    api.will_say(SENT)
    assert json.loads(api.run("cancel", "5", "--json").output) == SENT
    api.will_say(PAUSE)
    assert json.loads(api.run("pause", "--json").output) == PAUSE


def test_pause_and_resume_apply_to_the_client_or_a_channel(api: Api) -> None:
    api.will_say(PAUSE)
    assert api.run("pause").output == "client def\\u001b[31mault: paused since 2024-01-01 10:00:00Z\n"
    api.will_say(PAUSE | {"kind": "channel", "name": "email", "paused": False, "since": None})
    assert api.run("resume", "--channel", "email/x").output == "channel email: not paused\n"
    assert [asked[:2] for asked in api.asked] == [
        ("PUT", "/api/pauses/client"),
        ("DELETE", "/api/pauses/channels/email%2Fx"),
    ]


def test_send_takes_a_priority_a_time_an_expiry_and_an_idempotency_key(api: Api) -> None:
    api.will_say(SENT)
    words = ["--priority", "high", "--at", "2124-01-01T10:00:00Z", "--expires", "2d", "--idempotency-key", "k 1"]
    assert api.run("send", "--to", "a@example.com", "--message", "Hello", *words).exit_code == 0
    sent = body(api)
    assert about(sent.pop("expiresAt"), timedelta(days=2))
    assert sent == {
        "type": "email",
        "recipient": "a@example.com",
        "message": "Hello",
        "priority": "high",
        "sendAt": "2124-01-01T10:00:00Z",
    }
    assert api.headers[0]["Idempotency-Key"] == "k 1"


def test_a_time_span_beyond_the_calendar_is_a_usage_error(api: Api) -> None:
    api.will_say(SENT)
    assert api.run("retry", "--failed", "--since", "999999d").exit_code == 2
