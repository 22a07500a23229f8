"""Fairness between clients: one that sends little does not wait behind one that sends much."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping

DEPTH = 32  # messages that wait or are being worked on, from which on a queue counts as crowded
# Notifications of each client per second that use the next more urgent queue while their own is crowded.
BURST = 20
# If the queue of a priority is crowded, a client that sends little uses the priority in _UP, the others that in _DOWN.
_UP = {"normal": "high", "bulk": "normal"}
_DOWN = {"high": "normal"}


def possible_priorities(priority: str) -> set[str]:
    """Return the priorities at which notifications of the priority `priority` may be enqueued."""
    return {priority, _moved(_UP, priority), _moved(_DOWN, priority)}


class Fairness:
    """Count of notifications that each client has had enqueued in this second by this process. Not thread-safe."""

    def __init__(self) -> None:
        self._enqueued: Counter[tuple[str, int]] = Counter()
        self._second = 0

    def count(self, priority: str, client: int, count: int) -> None:
        """Count `count` more notifications of a client."""
        if (second := int(time.monotonic())) != self._second:
            self._second = second
            self._enqueued.clear()
        self._enqueued[priority, client] += count

    def priority(self, priority: str, client: int, depth: int, more: int = 0) -> str:
        """Return the priority at which to enqueue a client's notifications.

        `depth`: unfinished messages in the queue of `priority`. `more`: notifications that are not counted yet.
        """
        if depth < DEPTH:
            return priority
        little = self._enqueued[priority, client] + more <= BURST
        return _moved(_UP if little else _DOWN, priority)


def _moved(by: Mapping[str, str], name: str) -> str:
    """Return the name of another priority of the same channel."""
    channel, dot, priority = name.rpartition(".")
    return f"{channel}{dot}{by.get(priority, priority)}"
