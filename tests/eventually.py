"""The ways to wait in a test."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(
    condition: Callable[[], T],
    within: float = 10.0,
    saying: Callable[[], object] | str = "",
    every: float = 0.02,
) -> T:
    """Poll `condition` until it is true and return what it returned.

    Fails after `within` seconds with the last value, or the AssertionError it last raised, and with
    `saying`, which is called only then: the place to show counts or a server's log.
    """
    deadline = time.monotonic() + within
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
        if time.monotonic() > deadline:
            detail = saying() if callable(saying) else saying
            raise AssertionError(f"not within {within:g} s; last: {last!r}; {detail}")
        time.sleep(every)


def outlast(seconds: float) -> None:
    """Let an outage last so long: the one wait whose length is itself what the test is about."""
    time.sleep(seconds)
