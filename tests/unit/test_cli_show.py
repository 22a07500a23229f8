"""Output for people: escaped text, tables and notifications."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.terminal import show


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Grüße 🎉", "Grüße 🎉"),
        ("\x1b[2J", "\\u001b[2J"),
        ("a\nb\rc", "a\\u000ab\\u000dc"),
        ("\x9b31m\x7f", "\\u009b31m\\u007f"),
        ("evil\u202egnp.exe", "evil\\u202egnp.exe"),
        ("\ud800", "\\ud800"),
    ],
)
def test_control_characters_are_escaped_on_a_terminal(text: str, shown: str) -> None:
    assert show.plain(text) == shown


def test_a_body_keeps_its_lines() -> None:
    assert show.body("one\r\ntwo\n\tthree\x1b") == "one\ntwo\n\tthree\\u001b"


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.none()))
def test_an_escaped_json_document_is_the_same_document(document: dict[str, object]) -> None:
    raw = json.dumps(document, ensure_ascii=False)

    assert json.loads(show.document(raw)) == document


def test_a_table_is_as_wide_as_its_content_up_to_a_limit() -> None:
    rows: list[dict[str, object]] = [{"id": 7, "subject": "x" * 100}, {"id": 12, "subject": None}]

    heading, first, second = show.table(rows, {"id": "ID", "subject": "SUBJECT"}).splitlines()

    assert heading == "ID  SUBJECT"
    assert first == "7   " + "x" * 47 + "…"
    assert second == "12"


def test_an_empty_table_shows_only_its_heading() -> None:
    assert show.table([], {"id": "ID"}) == "ID"


def test_a_notification_is_shown_with_its_fields_then_its_attempts_then_its_message() -> None:
    one = {"id": 5, "status": "failed", "failureReason": "rejected", "lastError": None, "message": "Hello\n"}
    attempts = [{"number": 1, "outcome": "refused", "replyCode": 550, "text": "no such\nuser"}]

    text = show.notification(one, attempts)

    assert text.startswith("Notification 5\n  Status       failed\n  Reason       rejected\n\n#  OUTCOME")
    assert "no such\\u000auser" in text
    assert text.endswith("\n\nHello\n")
    assert "Last error" not in text
