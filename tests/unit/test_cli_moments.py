"""Times on the command line: the forms of options, and of output for people and programs."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from cli.terminal import show
from cli.terminal.moments import Moment, readable
from tests.unit.test_cli_client import SENT, Api, api

__all__ = ["api"]  # the fixture

AT = "2024-01-01T10:00:00.123456Z"
SHOWN = "2024-01-01 10:00:00Z"


@pytest.mark.parametrize(
    ("time", "shown"),
    [
        (AT, SHOWN),
        ("2024-01-01T12:00:00+02:00", SHOWN),
        (datetime(2024, 1, 1, 10, tzinfo=UTC), SHOWN),
        (datetime(2024, 1, 1, 12, tzinfo=timezone(timedelta(hours=2))), SHOWN),
        ("yesterday", "yesterday"),
        ("", ""),
    ],
)
def test_times_for_people_have_one_format(time: datetime | str, shown: str) -> None:
    assert readable(time) == shown


def test_a_printed_time_is_accepted_as_an_option() -> None:
    assert Moment().convert(SHOWN, None, None) == "2024-01-01T10:00:00Z"
    assert Moment().convert(AT, None, None) == AT


@pytest.mark.parametrize("ago", [False, True])
def test_a_span_is_counted_from_now(ago: bool) -> None:
    found = datetime.fromisoformat(Moment(ago=ago).convert("2h", None, None))
    expected = datetime.now(UTC) + timedelta(hours=-2 if ago else 2)
    assert abs(found - expected) < timedelta(minutes=1)


def test_tables_show_times_for_people_and_texts_unchanged() -> None:
    row = {"createdAt": AT, "created_at": datetime(2024, 1, 1, 10, tzinfo=UTC), "subject": AT}
    shown = show.table([row], {name: name for name in row}).splitlines()[1]
    assert shown.split("  ") == [SHOWN, SHOWN, AT]


@pytest.mark.parametrize(
    ("words", "answers"),
    [
        (["status", "5"], [{**SENT, "createdAt": AT}, {"items": [{"number": 1, "startedAt": AT}]}]),
        (["list"], [{"items": [{**SENT, "createdAt": AT}]}]),
        (["timeline", "5"], [{"items": [{"event": "released", "at": AT, "detail": {"nextAttemptAt": AT}}]}]),
        (["suppressions", "list"], [{"items": [{"address": "a", "createdAt": AT, "expiresAt": AT}]}]),
        (["templates", "list"], [{"items": [{"name": "t", "version": 1, "createdAt": AT}]}]),
        (["callbacks", "deliveries", "3"], [{"items": [{"id": 1, "createdAt": AT}]}]),
        (["pause"], [{"kind": "client", "name": "default", "paused": True, "since": AT}]),
    ],
)
def test_every_command_has_one_format_for_people_and_one_for_programs(
    api: Api, words: list[str], answers: list[dict[str, object]]
) -> None:
    api.will_say(*answers)
    for_people = api.run(*words).stdout
    assert SHOWN in for_people
    assert AT not in for_people
    api.will_say(*answers)
    for_programs = api.run(*words, "--json").stdout
    assert AT in for_programs
    json.loads(for_programs)
