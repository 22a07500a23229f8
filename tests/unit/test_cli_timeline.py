"""`notify timeline` and `limits`, and the options of `send` for the recipient."""

from __future__ import annotations

import json

import pytest

from tests.unit.test_cli_client import SENT, Api, api

__all__ = ["api"]

EVENTS = {
    "items": [
        {"event": "accepted", "at": "2024-01-01T10:00:00Z", "detail": {}},
        {
            "event": "attempted",
            "at": "2024-01-01T10:00:01Z",
            "detail": {"number": 1, "outcome": "refused", "phase": None, "text": "550 5.1.1 no\x1b[31m such user " * 3},
        },
        {"event": "failed", "at": "2024-01-01T10:00:02Z", "detail": {"failureReason": "rejected"}},
    ]
}
LIMITS = {
    "rate": {"limit": 600, "used": 12, "remaining": 588, "window": 60},
    "daily": {"limit": 1000, "used": None, "remaining": None, "window": 86400},
    "pending": {"limit": None, "used": None, "remaining": None},
}


def test_a_timeline_is_printed_in_full_and_with_nothing_that_a_terminal_obeys(api: Api) -> None:
    api.will_say(EVENTS)
    shown = api.run("timeline", "5")

    assert shown.exit_code == 0
    assert shown.output.splitlines() == [
        "2024-01-01 10:00:00Z  accepted",
        "2024-01-01 10:00:01Z  attempted    number: 1, outcome: refused, text: "
        + ("550 5.1.1 no\\u001b[31m such user " * 3).rstrip(),
        "2024-01-01 10:00:02Z  failed       failureReason: rejected",
    ]
    assert api.asked == [("GET", "/api/notifications/5/events", b"")]
    assert json.loads(api.run("timeline", "5", "--json").output) == EVENTS


def test_limits_are_shown_with_what_is_left(api: Api) -> None:
    api.will_say(LIMITS)
    shown = api.run("limits")

    assert shown.exit_code == 0
    assert [line.split() for line in shown.output.splitlines()] == [
        ["LIMIT", "MAXIMUM", "USED", "REMAINING"],
        ["per", "minute", "600", "12", "588"],
        ["per", "day", "(UTC)", "1,000", "unknown", "unknown"],
        ["pending", "unlimited"],
    ]
    assert [asked[:2] for asked in api.asked] == [("GET", "/api/limits")]
    assert json.loads(api.run("limits", "--json").output) == LIMITS


def test_an_impossible_id_is_a_usage_error_and_a_refusal_is_exit_code_1(api: Api) -> None:
    assert api.run("timeline", "0").exit_code == 2
    api.will_say({"detail": "There is no notification with this id."}, status=404)
    refused = api.run("timeline", "5")
    assert (refused.exit_code, "no notification" in refused.output) == (1, True)


def test_send_fails_for_a_notification_that_failed_at_once_also_without_wait(api: Api) -> None:
    api.will_say(SENT | {"status": "failed", "lastError": "a@example.com is on the suppression list: manual"})
    refused = api.run("send", "--to", "a@example.com", "--message", "Hello")

    assert (refused.exit_code, refused.stdout) == (1, "Notification 5: failed\n")
    assert "is on the suppression list" in refused.stderr


@pytest.mark.parametrize(
    ("words", "sent"),
    [
        (["--unsubscribe", "--recipient-name", "Ann"], {"unsubscribe": True, "recipientName": "Ann"}),
        (
            ["--unsubscribe", "https://example.com/leave?list=7"],
            {"unsubscribe": {"url": "https://example.com/leave?list=7"}},
        ),
        (["--unsubscribe"], {"unsubscribe": True}),
        ([], {}),
    ],
)
def test_send_posts_the_name_of_the_recipient_and_how_to_unsubscribe(
    api: Api, words: list[str], sent: dict[str, object]
) -> None:
    api.will_say(SENT)
    assert api.run("send", "--to", "a@example.com", "--message", "Hello", *words).exit_code == 0
    document = json.loads(api.asked[0][2])
    assert document == {"type": "email", "recipient": "a@example.com", "message": "Hello", **sent}
