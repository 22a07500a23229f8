"""Fairness between clients: one that sends little does not wait behind one that sends much."""

from __future__ import annotations

import time
from collections import Counter

from settings import Settings

# If the queue of a priority is crowded, a client that sends little uses the priority in _UP, the others that in _DOWN.
_UP = {"normal": "high", "bulk": "normal"}
_DOWN = {"high": "normal"}


def ways(lane: str) -> set[str]:
    """Return the priorities at which notifications of the priority `lane` may be enqueued."""
    return {lane, _UP.get(lane, lane), _DOWN.get(lane, lane)}


class Turns:
    """Count of notifications that each client has had enqueued in this second by this process. Not thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._depth, self._burst = settings.fair_depth, settings.fair_burst
        self._rung: Counter[tuple[str, int]] = Counter()
        self._second = 0

    def count(self, lane: str, client: int, count: int) -> None:
        """Count `count` more notifications of a client."""
        if (second := int(time.monotonic())) != self._second:
            self._second = second
            self._rung.clear()
        self._rung[lane, client] += count

    def lane(self, lane: str, client: int, depth: int, more: int = 0) -> str:
        """Return the priority at which to enqueue a client's notifications.

        `depth`: unfinished messages in the queue of `lane`. `more`: notifications that are not counted yet.
        """
        if depth < self._depth:
            return lane
        little = self._rung[lane, client] + more <= self._burst
        return (_UP if little else _DOWN).get(lane, lane)
