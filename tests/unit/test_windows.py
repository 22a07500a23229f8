"""Usage of a limit, the time until it has room, and the headers that report both."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.access.exceeded import Exceeded, headers
from api.access.windows import RATE, Day, Minute, Window, left

# Structured fields (RFC 9651) as the draft uses them: a list of strings with parameters that are integers.
ITEM = r'"[a-z]+"(?:;[a-z]+=\d{1,15})+'
LIST = re.compile(rf"{ITEM}(?:, {ITEM})*")


def parsed(field: str) -> dict[str, dict[str, int]]:
    """A field by the name of each policy; fails unless it is one."""
    assert LIST.fullmatch(field), field
    found = {}
    for item in field.split(", "):
        name, *parameters = item.split(";")
        found[name.strip('"')] = {p.partition("=")[0]: int(p.partition("=")[2]) for p in parameters}
    return found


def at(window: Minute, seconds: float) -> Minute:
    """Return the window as it is after some seconds without further requests."""
    before = max(0.0, window.before_lasts - seconds)
    lasts = window.now_lasts - seconds
    if lasts > 60:
        return Minute(window.limit, window.before, before, window.now, lasts)
    return Minute(window.limit, window.now, max(0.0, lasts), 0, 0.0)


@st.composite
def minutes(draw: st.DrawFn) -> Minute:
    limit = draw(st.integers(1, 10_000))
    rest = draw(st.floats(0.001, 60))
    return Minute(limit, draw(st.integers(0, limit)), rest, draw(st.integers(0, limit)), 60 + rest)


@given(window=minutes(), share=st.floats(0, 1))
def test_a_used_up_window_admits_again_exactly_when_its_time_is_over(window: Minute, share: float) -> None:
    count = max(1, round(share * window.limit))
    wait = window.until(count)

    assert 0 <= wait <= 120
    assert at(window, wait).used + count <= window.limit
    if wait > 0.01:
        assert at(window, wait - 0.01).used + count > window.limit


def test_the_previous_minute_counts_less_and_less() -> None:
    assert [Minute(100, 60, lasts, 10, 60 + lasts).used for lasts in (60.0, 30.0, 0.0)] == [70, 40, 10]


def test_a_daily_quota_starts_again_at_midnight() -> None:
    assert Day(100, 99, 3_600.0).until(1) == 0
    assert Day(100, 100, 3_600.0).until(1) == 3_600


@pytest.mark.parametrize(
    ("window", "policy", "limit"),
    [
        (Minute(600, 0, 0.0, 1, 119.5), '"rate";q=600;w=60', '"rate";r=599;t=60'),
        (Minute(600, 0, 0.0, 0, 0.0), '"rate";q=600;w=60', '"rate";r=600'),
        (Minute(5, 0, 0.0, 9, 90.0), '"rate";q=5;w=60', '"rate";r=0;t=57'),
        (Day(100, 100, 3_599.2), '"daily";q=100;w=86400', '"daily";r=0;t=3600'),
    ],
)
def test_the_headers_describe_each_window(window: Window, policy: str, limit: str) -> None:
    assert headers((window,)) == {"RateLimit-Policy": policy, "RateLimit": limit}
    assert parsed(policy).keys() == parsed(limit).keys()


def test_without_windows_there_are_no_headers() -> None:
    assert headers(()) == {}


@given(window=minutes(), count=st.integers(1, 100))
def test_retry_after_is_never_too_early(window: Minute, count: int) -> None:
    if count > window.limit or left(window) >= count:
        return
    told = Exceeded(RATE, count, window.limit, window.until(count), (window,)).headers

    assert int(told["Retry-After"]) >= max(1, parsed(told["RateLimit"])["rate"]["t"])
