"""Errors of the commands that talk to the API: the sentence and the exit code."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from cli.main import notify
from tests.unit.test_cli_client import SENT, Api, api

__all__ = ["api"]  # the fixture

PROBLEM = {
    "title": "Bad Request",
    "detail": "The request has 2 faults; nothing was stored.",
    "errors": [
        {"pointer": "/recipient", "detail": "must be \x1b[31man address"},
        {"pointer": "/message", "detail": "is too long"},
    ],
}


@pytest.mark.parametrize(
    ("outcome", "code", "sentence"),
    [
        ({"status": "failed", "lastError": "550 no\x1b"}, 1, "Error: failed: 550 no\\u001b\n"),
        ({"status": "cancelled", "failureReason": None}, 1, "Error: cancelled: see `notify status`\n"),
        ({"status": "pending"}, 75, "Error: not sent within 0 s: see `notify status 5`\n"),
        ({"status": "processing"}, 75, "Error: not sent within 0 s: see `notify status 5`\n"),
    ],
)
def test_send_fails_if_the_notification_is_not_sent_within_the_wait(
    api: Api, outcome: dict[str, str | None], code: int, sentence: str
) -> None:
    api.will_say({**SENT, **outcome})

    result = api.run("send", "--to", "a@example.com", "--message", "Hello", "--wait", "0")

    assert (result.exit_code, result.stderr) == (code, sentence)


def test_a_refusal_shows_every_fault_and_nothing_that_a_terminal_obeys(api: Api) -> None:
    api.will_say(PROBLEM, status=400)

    result = api.run("send", "--to", "a", "--message", "Hello")

    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == (
        "Error: The request has 2 faults; nothing was stored.\n"
        "  --to: must be \\u001b[31man address\n"
        "  --message: is too long\n"
    )


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'"text"', b"{}", b"\xff"])
def test_an_error_without_a_problem_document_is_reported_with_its_status(api: Api, body: bytes) -> None:
    api.answers = [(502, body)]

    result = api.run("status", "5")

    assert (result.exit_code, result.stderr) == (3, "Error: The server answered 502 Bad Gateway\n")


@pytest.mark.parametrize(("status", "code"), [(400, 1), (429, 1), (500, 1), (502, 3), (503, 3), (504, 3)])
def test_an_api_that_is_unavailable_has_another_exit_code_than_a_refusal(api: Api, status: int, code: int) -> None:
    api.will_say({"title": "No", "detail": "Try again later."}, status=status)

    assert (api.run("list").exit_code, api.run("cancel", "5").exit_code) == (code, code)


@pytest.mark.parametrize("body", [b"<html>", b"\xff", b"", b"[]", b"{}", b"7"])
def test_another_server_at_the_address_is_reported_as_not_the_api(api: Api, body: bytes) -> None:
    api.answers = [(200, body)]

    result = api.run("list")

    assert result.exit_code == 3
    assert result.stderr.startswith(f"Error: The server at {api.url} is not the notification API: give its address")


def test_a_server_that_does_not_answer_is_reported_with_what_to_do() -> None:
    result = CliRunner().invoke(notify, ["list", "--url", "http://127.0.0.1:1/"])

    assert result.exit_code == 3
    assert result.stderr.startswith("Error: No API answers at http://127.0.0.1:1 (Connection refused): start one")


def test_a_wrong_address_is_a_usage_error() -> None:
    assert CliRunner().invoke(notify, ["list", "--url", "127.0.0.1:8000"]).exit_code == 2


@pytest.mark.parametrize(
    ("key", "sentence"),
    [("", "The API needs a key: set NOTIFY_KEY"), ("ntf_live_1_x", "The API refuses the key in NOTIFY_KEY")],
)
def test_a_key_that_is_missing_or_wrong_is_named_by_its_variable(api: Api, key: str, sentence: str) -> None:
    api.will_say({"detail": "Send Authorization: Bearer and a key."}, status=401)

    result = api.run("list", key=key)

    assert (result.exit_code, sentence in result.stderr) == (1, True), result.stderr
    assert "Bearer" not in result.stderr


def test_a_429_says_when_to_run_the_command_again(api: Api) -> None:
    api.will_say({"detail": "Too many requests."}, status=429)
    api.retry_after = "7"

    result = api.run("list")

    assert result.stderr == "Error: Too many requests.\n  Run this again after 7 s.\n"


@pytest.mark.parametrize("key", ["a\nb: c", "schlüssel"])
def test_a_malformed_key_is_not_sent(api: Api, key: str) -> None:
    assert api.run("list", key=key).exit_code == 2
    assert api.asked == []
