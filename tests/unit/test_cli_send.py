"""`notify send` for every channel: its requests, and the usage errors before a request."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.test_cli_client import SENT, Api, api

__all__ = ["api"]  # the fixture


@pytest.mark.parametrize(
    ("words", "posted"),
    [
        (
            ("--type", "sms", "--to", "+41 79 123 45 67", "--message", "Hi", "--from", "ACME", "--max-segments", "1"),
            {"type": "sms", "recipient": "+41 79 123 45 67", "message": "Hi", "from": "ACME", "maxSegments": 1},
        ),
        (
            (
                *("--type", "push", "--to", "fcm:abc", "--title", "Parcel", "--message", "Hi", "--badge", "0"),
                *("--sound", "default", "--open", "https://a.example/1", "--data", '{"order": "1"}', "--keys", "{}"),
                *("--registered-at", "2026-01-01T00:00:00Z"),
            ),
            {
                **{"type": "push", "recipient": "fcm:abc", "subject": "Parcel", "message": "Hi", "badge": 0},
                **{"sound": "default", "url": "https://a.example/1", "data": {"order": "1"}, "keys": {}},
                "registeredAt": "2026-01-01T00:00:00Z",
            },
        ),
        (
            ("--type", "chat", "--destination", "alerts", "--title", "Disk", "--message", "Full"),
            {"type": "chat", "recipient": "alerts", "subject": "Disk", "message": "Full"},
        ),
        (
            ("--type", "webhook", "--destination", "orders", "--event", "shipped", "--payload", "[1, null]"),
            {"type": "webhook", "recipient": "orders", "event": "shipped", "payload": [1, None]},
        ),
        (
            ("--type", "fax", "--to", "1", "--title", "Of another package"),
            {"type": "fax", "recipient": "1", "subject": "Of another package"},
        ),
    ],
)
def test_a_notification_of_each_type_is_posted(api: Api, words: tuple[str, ...], posted: dict[str, Any]) -> None:
    api.will_say({**SENT, "status": "pending"}, status=201)

    result = api.run("send", *words)

    assert result.exit_code == 0, result.stderr
    assert json.loads(api.asked[0][2]) == posted


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--message", "Hi"), "--to is missing: --type email needs it"),
        (("--type", "chat", "--message", "Hi"), "--destination is missing: --type chat needs it"),
        (("--type", "chat", "--to", "alerts"), "--to is for --type email and sms and push: give --destination NAME"),
        (("--type", "sms", "--destination", "a"), "--destination is for --type chat and webhook: give --to for sms"),
        (("--type", "sms", "--to", "1", "--html", __file__), "--html is for --type email: leave it out for sms"),
        (
            ("--type", "sms", "--to", "1", "--title", "a"),
            "--title is for --type push and chat: a text message has none",
        ),
        (("--type", "push", "--to", "1", "--attach", __file__), "--attach is for --type email: leave it out for push"),
        (("--type", "webhook", "--destination", "a", "--message", "b"), "give --payload JSON for webhook"),
        (("--to", "a@b.c", "--max-segments", "2"), "--max-segments is for --type sms: leave it out for email"),
        (("--to", "a@b.c", "--open", "https://a.example"), "--open is for --type push: leave it out for email"),
        (("--type", "chat", "--destination", "a", "--title", "b", "--subject", "c"), "give --title or --subject, not"),
        (("--type", "webhook", "--destination", "a", "--payload", "{"), "--payload: is not JSON (line 1, column 2)"),
        (("--type", "push", "--to", "a", "--data", "-", "--message", "-"), "--data: standard input is read by --mess"),
    ],
)
def test_an_option_that_does_not_fit_the_type_is_named_and_nothing_is_posted(
    api: Api, words: tuple[str, ...], said: str
) -> None:
    result = api.run("send", *words)

    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
    assert api.asked == []


@pytest.mark.parametrize(
    ("words", "pointer", "said"),
    [
        (("--type", "chat", "--destination", "x"), "/recipient", "--destination: is wrong"),
        (("--type", "sms", "--to", "x"), "/recipient", "--to: is wrong"),
        (("--type", "push", "--to", "x", "--title", "y"), "/subject", "--title: is wrong"),
        (("--to", "x", "--subject", "y"), "/subject", "--subject: is wrong"),
        (("--type", "push", "--to", "x", "--open", "y"), "/url", "--open: is wrong"),
        (("--type", "sms", "--to", "x", "--max-segments", "99"), "/maxSegments", "--max-segments: is wrong"),
        (("--type", "push", "--to", "x", "--data", '{"a": 1}'), "/data/a", "--data a: is wrong"),
    ],
)
def test_a_fault_that_the_api_finds_is_shown_with_the_option_that_was_typed(
    api: Api, words: tuple[str, ...], pointer: str, said: str
) -> None:
    api.will_say({"detail": "1 fault", "errors": [{"pointer": pointer, "detail": "is wrong"}]}, status=422)

    result = api.run("send", *words)

    assert result.exit_code == 1
    assert said in result.stderr


def test_a_dry_run_prints_the_request_and_posts_nothing(api: Api) -> None:
    words = ("send", "--type", "sms", "--to", "+41791234567", "--message", "Grüezi", "--dry-run")

    shown, line = api.run(*words), api.run(*words, "--json")

    assert (shown.exit_code, line.exit_code) == (0, 0)
    assert json.loads(shown.stdout) == {"type": "sms", "recipient": "+41791234567", "message": "Grüezi"}
    assert json.loads(line.stdout) == json.loads(shown.stdout)
    assert "Grüezi" in shown.stdout
    assert line.stdout.count("\n") == 1
    assert api.asked == []


def test_waiting_works_for_every_type(api: Api) -> None:
    api.will_say({**SENT, "status": "pending"}, SENT)

    result = api.run("send", "--type", "chat", "--destination", "alerts", "--message", "Hi", "--wait", "10")

    assert (result.exit_code, result.stdout) == (0, "Notification 5: sent\n")
