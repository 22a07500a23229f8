"""Priorities: a queue for each, and how the threads of a worker are shared between them.

The most urgent message is served first. Less urgent ones never occupy all threads: LANE_RESERVE of `--threads` stay
free for each higher priority, so that a password reset does not wait for a newsletter.
"""

from __future__ import annotations

import heapq
import threading
from collections import Counter
from queue import Queue
from typing import Any, NamedTuple

from db.models import CALLBACK

MAIN = "notifications"


class Priority(NamedTuple):
    """Priority with its queue. `rank`: 0 is the most urgent; `rank` * LANE_RESERVE threads never serve it."""

    name: str
    queue: str
    rank: int

    @property
    def actor(self) -> str:
        """Name of the Dramatiq actor that delivers the messages of this queue."""
        return "deliver" if self.name == "normal" else f"deliver_{self.name}"


PRIORITIES = {
    priority.name: priority
    for priority in (
        Priority("high", f"{MAIN}.high", 0),
        Priority("normal", MAIN, 1),
        Priority("bulk", f"{MAIN}.bulk", 2),
        Priority(CALLBACK, f"{MAIN}.callback", 3),
    )
}
BY_QUEUE = {priority.queue: priority for priority in PRIORITIES.values()}


class PriorityQueue(Queue[Any]):
    """Queue from which the threads of a Dramatiq worker take messages.

    `get` returns the most urgent message among the priorities that one more thread may serve. The thread counts as
    serving that priority until `task_done`.
    """

    def __init__(self, threads: int, reserve: int) -> None:
        self._threads, self._reserve = threads, reserve
        self._items: dict[int, list[Any]] = {priority.rank: [] for priority in PRIORITIES.values()}
        self._busy: Counter[int] = Counter()
        self._mine = threading.local()
        super().__init__()

    def task_done(self) -> None:
        with self.mutex:
            self._leave()
            # A message that no thread was allowed to take may be allowed now.
            self.not_empty.notify_all()
        super().task_done()

    def _put(self, item: Any) -> None:
        heapq.heappush(self._items[BY_QUEUE[item.message.queue_name].rank], item)

    def _qsize(self) -> int:
        """Return the number of messages that may be taken now; `get` waits while it is 0."""
        return sum(len(items) for rank, items in self._items.items() if self._admits(rank))

    def _get(self) -> Any:
        rank = next(rank for rank, items in self._items.items() if items and self._admits(rank))
        self._leave()
        self._mine.rank = rank
        self._busy[rank] += 1
        return heapq.heappop(self._items[rank])

    def _admits(self, rank: int) -> bool:
        """Return whether one more thread may serve this priority; threads at lower priorities count too."""
        mine: int | None = getattr(self._mine, "rank", None)
        busy = sum(count for other, count in self._busy.items() if other >= rank)
        return busy - (mine is not None and mine >= rank) < max(1, self._threads - rank * self._reserve)

    def _leave(self) -> None:
        rank: int | None = getattr(self._mine, "rank", None)
        if rank is not None:
            self._busy[rank] -= 1
            self._mine.rank = None
