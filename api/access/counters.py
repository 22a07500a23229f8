"""What clients have used of their rates and quotas, counted in Redis for all API processes.

A rate slides (the counters of this minute and of the one before, whose part shrinks), a quota is a
counter of its own for each day. Both are checked and counted in one step in Redis, so that however many
ask at the same time, no counter passes its limit. Redis measures the minutes, the database's clock
says which day it is: the clocks of the machines do not matter.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from limits.storage import RedisStorage

from actors.queue import redis_pools
from actors.queue.broker import get_broker
from api.access.windows import DAILY, DAY, MINUTE, RATE, Day, Minute, Policy, Window
from db.clock import clock as database_clock
from settings import Settings

# A counter slides when this is over, which for that of a day must never be: so it is a little more than one.
DAY_COUNTED = 90_000  # seconds


class Whose(NamedTuple):
    """Whose counters, and their limits; None: there is none, and nothing is counted."""

    owner: str
    rate: int | None
    daily: int | None

    @property
    def limited(self) -> bool:
        return self.rate is not None or self.daily is not None


class Ask(NamedTuple):
    """May `whose` have `number` more? 0 only asks how things are; fewer than 0 gives back to the day."""

    whose: Whose
    number: int


class Answer(NamedTuple):
    """`refused`: the policy that does not allow it; then nothing was counted. The windows are as they are now."""

    refused: Policy | None
    windows: tuple[Window, ...]


class Counters:
    """For one thread at a time.

    Raises:
        redis.RedisError: Redis cannot be asked; of what was asked at once some may have been counted.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = database_clock.now) -> None:
        pool = redis_pools.pool(settings.redis, min(settings.limits.timeout, settings.redis.timeout))
        # The address is in the pool.
        self._storage = RedisStorage("redis://", pool)
        self._clock = clock

    def run(self, asks: Sequence[Ask]) -> list[Answer]:
        """Answers all of these; those of the same client share the steps in Redis."""
        # Known once the database was asked, so not before the first request.
        self._storage.key_prefix = f"{get_broker().namespace}:limits"
        by_owner: defaultdict[Whose, list[int]] = defaultdict(list)
        for place, ask in enumerate(asks):
            by_owner[ask.whose].append(place)
        answers: dict[int, Answer] = {}
        for whose, places in by_owner.items():
            refused = self._take_each(whose, [asks[place].number for place in places])
            windows = self._windows(whose)
            answers |= {place: Answer(by, windows) for place, by in zip(places, refused, strict=True)}
        return [answers[place] for place in range(len(asks))]

    def close(self) -> None:
        self._storage.storage.close()

    def _take_each(self, whose: Whose, counts: Sequence[int]) -> list[Policy | None]:
        """By which policy each is refused, if any."""
        together = sum(count for count in counts if count > 0)
        for given_back in (count for count in counts if count < 0):
            self._acquire(*self._day(whose), given_back)
        if not together or not self._take(whose, together):
            return [None] * len(counts)
        refused: list[Policy | None] = []
        least, by = math.inf, None
        for count in counts:
            # What was too much a moment ago is so still.
            found = by if count >= least else self._take(whose, count) if count > 0 else None
            if found:
                least, by = min(least, count), found
            refused.append(found)
        return refused

    def _take(self, whose: Whose, count: int) -> Policy | None:
        """Count so many; or the policy that refuses them, and nothing is counted of either."""
        if whose.daily and self._used_today(whose) + count > whose.daily:
            return DAILY
        if whose.rate and not self._acquire(f"rate/{whose.owner}", whose.rate, MINUTE, count):
            return RATE
        # If others were faster since we looked, the rate has been charged for nothing.
        if whose.daily and not self._acquire(*self._day(whose), count):
            return DAILY
        return None

    def _windows(self, whose: Whose) -> tuple[Window, ...]:
        windows: list[Window] = []
        if whose.rate:
            state = self._storage.get_sliding_window(f"rate/{whose.owner}", MINUTE)
            windows.append(Minute(whose.rate, *state))
        if whose.daily:
            windows.append(Day(whose.daily, self._used_today(whose), DAY - self._clock() % DAY))
        return tuple(windows)

    def _day(self, whose: Whose) -> tuple[str, int, int]:
        """The counter's name without its limit: who gets another one has not used less."""
        today = datetime.fromtimestamp(self._clock(), UTC).date()
        return f"daily/{whose.owner}/{today}", whose.daily or 0, DAY_COUNTED

    def _used_today(self, whose: Whose) -> int:
        name, _, seconds = self._day(whose)
        return max(0, self._storage.get_sliding_window(name, seconds)[2])

    def _acquire(self, name: str, limit: int, seconds: int, count: int) -> bool:
        return self._storage.acquire_sliding_window_entry(name, limit, seconds, count)
