"""How full a limit is, and when there will be room: pure arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

MINUTE = 60  # seconds
DAY = 86_400
_JUST_AFTER = 0.001


class Policy(NamedTuple):
    """What a limit is called, in headers and in sentences, and its window in seconds, if it has one."""

    name: str
    words: str
    window: int | None = None


RATE = Policy("rate", "notifications a minute", MINUTE)
DAILY = Policy("daily", "notifications a day (UTC)", DAY)
MANAGE = Policy("manage", "acts of management a minute", MINUTE)
BYTES = Policy("bytes", "bytes a day (UTC)", DAY)
PENDING = Policy("pending", "notifications that wait to be sent")


@dataclass(frozen=True, slots=True)
class Minute:
    """A sliding minute, as two counters tell of it: of the minute before, what has not slid out yet still counts.

    `lasts` are the seconds for which each counter still counts; the later one begins to slide out
    when 60 of them are left.
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
        """Seconds until there is room for `count` more, which are not more than the limit."""
        room = self.limit - count
        if self.used <= room:
            return 0.0
        # Parts of one that have not slid out do not count.
        if self.now <= room:
            return self.before_lasts - (room - self.now + 1) * MINUTE / self.before + _JUST_AFTER
        slides = self.now_lasts - MINUTE
        return max(slides, self.now_lasts - (room + 1) * MINUTE / self.now) + _JUST_AFTER


@dataclass(frozen=True, slots=True)
class Day:
    """A day from midnight to midnight, UTC; `lasts` so many seconds more."""

    limit: int
    used: int
    lasts: float
    policy: ClassVar[Policy] = DAILY

    def until(self, count: int) -> float:
        """Seconds until there is room for `count` more, which are not more than the limit."""
        return 0.0 if self.used + count <= self.limit else self.lasts


Window = Minute | Day


def left(window: Window) -> int:
    """How many more there is room for. None, where the limit was lowered below what was used."""
    return max(0, window.limit - window.used)
