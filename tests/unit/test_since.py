"""Notifications that a process has accepted since the last count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.access.backlogs import KEPT, Since


def test_notifications_accepted_before_a_count_are_forgotten() -> None:
    since = Since()
    for second in range(10):
        since.add(2, 100.0 + second)
    since.forget(104.5)

    assert since.total == 10
    since.forget(1_000)
    assert since.total == 0


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(1, 5)), max_size=50), st.floats(0, 101))
def test_notifications_accepted_after_a_count_are_kept(commit: list[tuple[float, int]], counted_at: float) -> None:
    since = Since()
    for at, number in commit:
        since.add(number, at)
    since.forget(counted_at)

    assert (
        sum(number for at, number in commit if at >= counted_at) <= since.total <= sum(number for _, number in commit)
    )


def test_a_clock_set_back_does_not_drop_recent_notifications() -> None:
    since = Since()
    since.add(1, 100.0)
    since.add(1, 50.0)
    since.forget(99.0)

    assert since.total == 2


@pytest.mark.parametrize("count", [KEPT, 5 * KEPT])
def test_memory_stays_bounded_while_no_count_arrives(count: int) -> None:
    since = Since()
    for second in range(count):
        since.add(1, float(second))

    assert (since.total, len(since)) == (count, KEPT)
    since.forget(count - 10.0)
    assert since.total == 10
