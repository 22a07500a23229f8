"""Fairness between clients: who asks for little does not wait behind who asks for much."""

from __future__ import annotations

import time
from collections import Counter

from settings import Settings

# In a lane that is crowded, who asks for little is rung in this one instead, and who asks for much.
_UP = {"normal": "high", "bulk": "normal"}
_DOWN = {"high": "normal"}


def ways(lane: str) -> set[str]:
    """The lanes by which what belongs to this one may be rung."""
    return {lane, _UP.get(lane, lane), _DOWN.get(lane, lane)}


class Turns:
    """Counts what each client has rung in this second, in this process. Not for several threads at once."""

    def __init__(self, settings: Settings) -> None:
        self._depth, self._burst = settings.fair_depth, settings.fair_burst
        self._rung: Counter[tuple[str, int]] = Counter()
        self._second = 0

    def count(self, lane: str, client: int, count: int) -> None:
        """So many more of a client's are rung."""
        if (second := int(time.monotonic())) != self._second:
            self._second = second
            self._rung.clear()
        self._rung[lane, client] += count

    def lane(self, lane: str, client: int, depth: int, more: int = 0) -> str:
        """By which lane what was counted, and so many more, is rung, where `depth` messages wait in its own."""
        if depth < self._depth:
            return lane
        little = self._rung[lane, client] + more <= self._burst
        return (_UP if little else _DOWN).get(lane, lane)
