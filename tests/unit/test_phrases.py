"""Values as the dashboard writes them for people."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from api.dashboard import phrases
from api.http import times

NOW = datetime(2024, 1, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0, "0 s"),
        (0.04, "0 s"),
        (0.05, "0.1 s"),
        (9.94, "9.9 s"),
        (10, "10 s"),
        (59, "59 s"),
        (60, "1.0 min"),
        (600, "10 min"),
        (3_600, "1.0 h"),
        (86_400, "1.0 d"),
        (8_640_000, "100 d"),
    ],
)
def test_a_time_span_is_shown_in_its_largest_unit(seconds: float, written: str) -> None:
    assert phrases.span(seconds) == written
    assert phrases.ago(NOW - timedelta(seconds=seconds), NOW) == f"{written} ago"


def test_a_future_time_is_written_as_in_some_hours() -> None:
    assert phrases.ago(NOW + timedelta(hours=2), NOW) == "in 2.0 h"


def test_large_numbers_are_shown_with_separators() -> None:
    assert phrases.count(1_234_567) == "1\u202f234\u202f567"
    assert [phrases.rate(number) for number in (None, 0.0, 9.96, 100.4)] == ["-", "0.0", "10.0", "100"]
    assert [phrases.size(octets) for octets in (999, 1_000, 999_499, 1_500_000)] == [
        "999 B",
        "1 kB",
        "999 kB",
        "1.5 MB",
    ]
    assert [phrases.milliseconds(value) for value in (0.4, 9_999, 10_000)] == ["0 ms", "9999 ms", "10 s"]


def test_times_are_in_utc_and_exact_for_programs() -> None:
    assert phrases.clock(NOW) == "2024-01-01 10:00:00"
    assert times.exact(NOW) == "2024-01-01T10:00:00Z"


def test_a_long_text_is_cut() -> None:
    assert phrases.shortened("x" * 120) == "x" * 120
    assert phrases.shortened("x" * 121) == "x" * 119 + "…"


def test_names_of_fields_are_shown_as_words() -> None:
    assert [phrases.words(name) for name in ("failure_reason", "failureReason", "key")] == [
        "failure reason",
        "failure reason",
        "key",
    ]
