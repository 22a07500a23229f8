"""Ringing: ids go to the workers as short lists, many messages in one round trip.

A bell that cannot be rung is no error: the row says when the relay rings it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from math import ceil
from typing import Any

import redis
from dramatiq.message import Message

import logs
from actors.broker import broker
from actors.delivery import deliver
from db.coalesce import Closed, Coalescer, Full
from settings import Settings

log = logs.get("bell")


class Bell:
    """Rings in the background what is submitted, until the queue is as long as the watermark."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._depth = 0
        self._ringing: Coalescer[tuple[Sequence[int], float], None] = Coalescer(
            "ring", self._ring, most=settings.accept_batch, waiting=settings.ring_waiting
        )

    def ring(self, ids: Sequence[int], at: float) -> None:
        """Ring these soon; returns at once and never raises for a bell that is not rung.

        `at`: when their rows say that it is rung, as the database's seconds since 1970.
        """
        try:
            self._ringing.submit((ids, at))
        except (Full, Closed):
            log.debug("bell.skipped", count=len(ids))

    def close(self, timeout: float) -> None:
        self._ringing.close(timeout)

    def _ring(self, groups: Sequence[tuple[Sequence[int], float]]) -> Sequence[None]:
        ids = list(chain.from_iterable(ids for ids, _ in groups))
        try:
            if self._has_room():
                bells = messages(ids, self._settings.ring_spread, self._settings.ring_size)
                self._depth = broker.ring(bells, min(at for _, at in groups))
        except redis.RedisError as error:
            log.warning("bell.failed", count=len(ids), error=type(error).__name__)
        return [None] * len(groups)

    def _has_room(self) -> bool:
        # The depth after the last bell is known for free; only a full queue is asked again.
        if self._depth >= self._settings.relay_watermark:
            self._depth = broker.depth()
        return self._depth < self._settings.relay_watermark


def messages(ids: Sequence[int], threads: int, most: int) -> list[Message[Any]]:
    """One message per list of ids: short enough to keep every thread busy, and never above `most`."""
    size = min(most, max(1, ceil(len(ids) / max(1, threads))))
    return [deliver.message(list(ids[start : start + size])) for start in range(0, len(ids), size)]
