"""Compute how full a limit is, and when there will be room again. No input or output."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

MINUTE = 60  # seconds
DAY = 86_400
_JUST_AFTER = 0.001


class Policy(NamedTuple):
    """Kind of a limit: its name in headers, its words in sentences, and its window in seconds, if it has one."""

    name: str
    words: str
    window: int | None = None


RATE = Policy("rate", "notifications per minute", MINUTE)
DAILY = Policy("daily", "notifications per day (UTC)", DAY)
MANAGE = Policy("manage", "management requests per minute", MINUTE)
BYTES = Policy("bytes", "bytes per day (UTC)", DAY)
PENDING = Policy("pending", "pending notifications")


@dataclass(frozen=True, slots=True)
class Minute:
    """Sliding minute, estimated from two counters: the part of the previous minute that has not slid out still counts.

    `before_lasts` and `now_lasts` are the seconds for which each counter still counts. The later counter begins to
    slide out when 60 of them are left.
    """

    limit: int
    before: int
    before_lasts: float
    now: int
    now_lasts: float
    policy: ClassVar[Policy] = RATE

    @property
    def used(self) -> int:
        return math.floor(self.before * self.before_lasts / MINUTE) + self.now

    def until(self, count: int) -> float:
        """Return the seconds until there is room for `count` more, which must not exceed the limit."""
        room = self.limit - count
        if self.used <= room:
            return 0.0
        # Fractions of a notification do not count.
        if self.now <= room:
            return self.before_lasts - (room - self.now + 1) * MINUTE / self.before + _JUST_AFTER
        slides = self.now_lasts - MINUTE
        return max(slides, self.now_lasts - (room + 1) * MINUTE / self.now) + _JUST_AFTER


@dataclass(frozen=True, slots=True)
class Day:
    """Day from midnight to midnight, UTC; it ends in `lasts` seconds."""

    limit: int
    used: int
    lasts: float
    policy: ClassVar[Policy] = DAILY

    def until(self, count: int) -> float:
        """Return the seconds until there is room for `count` more, which must not exceed the limit."""
        return 0.0 if self.used + count <= self.limit else self.lasts


Window = Minute | Day


def left(window: Window) -> int:
    """Return how many more there is room for: 0 if the limit was lowered below what is used."""
    return max(0, window.limit - window.used)
