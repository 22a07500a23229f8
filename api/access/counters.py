"""Counters of rates and quotas in Redis, shared by all API processes.

A rate is a sliding window over the counters of this minute and the previous one, whose share shrinks. A quota has one
counter for each day. Each counter is checked and incremented in one step in Redis, so that concurrent requests never
take it above its limit. Redis measures the minutes and the database's clock says which day it is: the clocks of the
API's machines do not matter.
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

# Seconds after which the counter of a day would slide: more than a day, so that it never does.
DAY_COUNTED = 90_000


class Whose(NamedTuple):
    """Owner of counters, and their limits. A limit of None means unlimited, and nothing is counted."""

    owner: str
    rate: int | None
    daily: int | None

    @property
    def limited(self) -> bool:
        return self.rate is not None or self.daily is not None


class Ask(NamedTuple):
    """Request for `number` more. 0 only reads the counters; a negative number gives back to the daily quota."""

    whose: Whose
    number: int


class Answer(NamedTuple):
    """Policy that refuses a request (then nothing was counted) or None, and the state of the windows."""

    refused: Policy | None
    windows: tuple[Window, ...]


class _Storage(RedisStorage):
    # Otherwise it imports valkey's client too, where that is installed.
    DEPENDENCIES = {"redis": RedisStorage.DEPENDENCIES["redis"]}  # noqa: RUF012 - as in limits


class Counters:
    """Counters in Redis. Use it on one thread at a time.

    Raises:
        redis.RedisError: Redis is unavailable; some of the requests of a `run` may have been counted.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = database_clock.now) -> None:
        pool = redis_pools.pool(settings.redis, min(settings.limits.timeout, settings.redis.timeout))
        # The pool has the real address.
        self._storage = _Storage("redis://", pool)
        self._clock = clock

    def run(self, asks: Sequence[Ask]) -> list[Answer]:
        """Answer these requests in order; those of the same owner share the steps in Redis."""
        # The namespace is known once the database was read, so not before the first request.
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
        """Count each of these if it is allowed; return for each the policy that refuses it, or None."""
        together = sum(count for count in counts if count > 0)
        for given_back in (count for count in counts if count < 0):
            self._acquire(*self._day(whose), given_back)
        if not together or not self._take(whose, together):
            return [None] * len(counts)
        refused: list[Policy | None] = []
        least, by = math.inf, None
        for count in counts:
            # A count that was refused a moment ago is still too large.
            found = by if count >= least else self._take(whose, count) if count > 0 else None
            if found:
                least, by = min(least, count), found
            refused.append(found)
        return refused

    def _take(self, whose: Whose, count: int) -> Policy | None:
        """Count `count` against rate and quota and return None, or return the policy that refuses them."""
        if whose.daily and self._used_today(whose) + count > whose.daily:
            return DAILY
        if whose.rate and not self._acquire(f"rate/{whose.owner}", whose.rate, MINUTE, count):
            return RATE
        # If another process has used the quota up since the check above, the rate was charged in vain.
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
        """Return name, limit and seconds of today's counter. The name does not contain the limit, because the limit may
        change."""
        today = datetime.fromtimestamp(self._clock(), UTC).date()
        return f"daily/{whose.owner}/{today}", whose.daily or 0, DAY_COUNTED

    def _used_today(self, whose: Whose) -> int:
        name, _, seconds = self._day(whose)
        return max(0, self._storage.get_sliding_window(name, seconds)[2])

    def _acquire(self, name: str, limit: int, seconds: int, count: int) -> bool:
        return self._storage.acquire_sliding_window_entry(name, limit, seconds, count)
