"""Counters of this worker process since its start. Each heartbeat contains them.

They are counted by event, and by provider and outcome, as in `smtp.example.com:587 sent`.
"""

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
