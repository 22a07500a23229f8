"""The parser of server-sent events: complete events, and the values for reconnecting."""

from __future__ import annotations

import pytest

from cli.client.sse import Event, Events


def read(text: str, last: str = "") -> tuple[list[Event], Events]:
    events = Events(last)
    return list(events.read(text.splitlines())), events


@pytest.mark.parametrize(
    ("text", "found", "last"),
    [
        ("data: 1\n\n", [Event("message", "1")], ""),
        ("event: ready\nid: 7\ndata: 1\n\n", [Event("ready", "1")], "7"),
        ("data:1\ndata: 2\n\n", [Event("message", "1\n2")], ""),
        (": a comment\n\ndata: 1\n\n", [Event("message", "1")], ""),
        ("id: 8\n:\n\n", [], "8"),
        ("event: lonely\n\ndata: 1\n\n", [Event("message", "1")], ""),
        ("id: 7\ndata: 1\n\nid: 8\ndata: 2", [Event("message", "1")], "7"),
        ("id: 7\n\nid: 8\0\ndata: 1\n\n", [Event("message", "1")], "7"),
        ("something: else\ndata\n\n", [], ""),
    ],
)
def test_events_are_parsed_from_a_stream(text: str, found: list[Event], last: str) -> None:
    events, state = read(text)
    assert ([e for e in events if e.data], state.last) == (found, last)


def test_the_last_event_id_is_kept_until_the_next_one() -> None:
    assert read("data: 1\n\n", last="5")[1].last == "5"


@pytest.mark.parametrize(("said", "seconds"), [("2500", 2.5), ("soon", 3.0), ("-1", 3.0)])
def test_the_retry_field_sets_the_delay_before_reconnecting(said: str, seconds: float) -> None:
    assert read(f"retry: {said}\n\n")[1].retry == seconds
