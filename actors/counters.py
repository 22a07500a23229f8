"""What this worker process has done since it started: sums by outcome, told with each heartbeat."""

from __future__ import annotations

import threading
from collections import Counter


class Tallies:
    """Counted by all threads of the process."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._counting = threading.Lock()

    def count(self, outcome: str, number: int = 1) -> None:
        with self._counting:
            self._counts[outcome] += number

    def all(self) -> dict[str, int]:
        with self._counting:
            return dict(self._counts)


tallies = Tallies()
