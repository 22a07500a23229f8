"""Counters of this worker process since its start, by outcome. Each heartbeat contains them."""

from __future__ import annotations

import threading
from collections import Counter


class Counters:
    """Thread-safe counters."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._counting = threading.Lock()

    def count(self, outcome: str, number: int = 1) -> None:
        with self._counting:
            self._counts[outcome] += number

    def all(self) -> dict[str, int]:
        with self._counting:
            return dict(self._counts)


counters = Counters()
