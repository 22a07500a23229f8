"""The ways to wait in a test."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
BUSY = 3.0  # times as long may everything take on a machine that has more to do
SELDOM = 0.1  # seconds between polls, at most: what is waited for needs the processors more than its test


def eventually(
    condition: Callable[[], T],
    within: float = 10.0,
    saying: Callable[[], object] | str = "",
    every: float | None = None,
) -> T:
    """Poll `condition` until it is true and return what it returned.

    The longer it has waited, the longer it sleeps between polls: a tenth of that, 0.02 to 0.1 s; or always `every`.

    Fails after BUSY times `within` seconds, which are those of a quiet machine, with the last value, or the
    AssertionError it last raised, and with `saying`, which is called only then: the place to show counts or a
    server's log.
    """
    began = time.monotonic()
    while True:
        last: object
        try:
            value = condition()
        except AssertionError as failed:
            last = failed
        else:
            if value:
                return value
            last = value
        waited = time.monotonic() - began
        if waited > within * BUSY:
            detail = saying() if callable(saying) else saying
            raise AssertionError(f"not within {within * BUSY:g} s; last: {last!r}; {detail}")
        time.sleep(min(max(0.02, waited / 10), SELDOM) if every is None else every)


def outlast(seconds: float) -> None:
    """Wait for a fixed time, for tests that need an outage of this length."""
    time.sleep(seconds)
