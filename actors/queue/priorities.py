"""Priorities: each channel has a queue for each, and the threads of a worker are shared between them.

The most urgent message is served first. Less urgent ones never occupy all threads: RESERVE of `--threads` stay
free for each higher priority, so that a password reset does not wait for a newsletter. Nor does one channel occupy all
of them, so that mails do not wait for a provider of SMS that hangs.
"""

from __future__ import annotations

import heapq
import threading
from collections import Counter
from collections.abc import Collection, Mapping
from operator import attrgetter
from queue import Queue
from typing import Any, NamedTuple

from actors.channels.registry import channels
from db import models
from db.models import CALLBACK

MAIN = "notifications"
RESERVE = 1  # threads of a worker process that stay free for each more urgent priority


class Depth(NamedTuple):
    """Number of messages: `waiting` in a queue, and `unfinished`, which includes those that workers have fetched."""

    waiting: int = 0
    unfinished: int = 0


class Priority(NamedTuple):
    """Priority of a channel, with its queue.

    `name`: the priority for the first channel and for callbacks, such as `high`; for the others with the channel, such
    as `sms.high`. `rank`: 0 is the most urgent; `rank` * RESERVE threads never serve it.
    """

    name: str
    queue: str
    rank: int
    channel: str

    @property
    def actor(self) -> str:
        """Name of the Dramatiq actor that delivers the messages of this queue."""
        return "deliver" if self.name == "normal" else f"deliver_{self.name.replace('.', '_')}"


def queue_name(channel: str, priority: str) -> str:
    """Return the name of the Priority for a channel's notifications of this priority."""
    return priority if channel == _FIRST else f"{channel}.{priority}"


def in_use(pending: Collection[str], depths: Mapping[str, Depth]) -> list[str]:
    """Return the names of the first channel and of callbacks, and of the others that have notifications or messages."""
    return [
        name
        for name, priority in PRIORITIES.items()
        if priority.channel in {_FIRST, CALLBACK} or name in pending or (name in depths and depths[name].unfinished)
    ]


_FIRST = next(iter(channels()))
_NAMES = {
    queue_name(channel, priority): (rank, channel)
    for channel in channels()
    for rank, priority in enumerate(models.PRIORITIES)
} | {CALLBACK: (len(models.PRIORITIES), CALLBACK)}
RANKS = range(len(models.PRIORITIES) + 1)
PRIORITIES = {
    name: Priority(name, MAIN if name == "normal" else f"{MAIN}.{name}", rank, channel)
    for name, (rank, channel) in _NAMES.items()
}
BY_QUEUE = {priority.queue: priority for priority in PRIORITIES.values()}


class PriorityQueue(Queue[Any]):
    """Queue from which the threads of a Dramatiq worker take messages.

    `get` returns the most urgent message among the priorities that one more thread may serve. The thread counts as
    serving that priority until `task_done`.
    """

    def __init__(self, threads: int, served: Collection[str] = tuple(PRIORITIES), reserve: int = RESERVE) -> None:
        """`served`: the names of the priorities whose messages may come."""
        self._threads, self._reserve = threads, reserve
        self._priorities = sorted((PRIORITIES[name] for name in served), key=attrgetter("rank"))
        self._served = {priority.channel for priority in self._priorities} - {CALLBACK}
        self._items: dict[Priority, list[Any]] = {priority: [] for priority in self._priorities}
        self._busy: Counter[Priority] = Counter()
        self._mine = threading.local()
        super().__init__()

    def task_done(self) -> None:
        with self.mutex:
            self._leave()
            # A message that no thread was allowed to take may be allowed now.
            self.not_empty.notify_all()
        super().task_done()

    def _put(self, item: Any) -> None:
        heapq.heappush(self._items[BY_QUEUE[item.message.queue_name]], item)

    def _qsize(self) -> int:
        """Return the number of messages that may be taken now; `get` waits while it is 0."""
        return sum(len(items) for priority, items in self._items.items() if items and self._admits(priority))

    def _get(self) -> Any:
        of_rank = [priority for priority, items in self._items.items() if items and self._admits(priority)]
        # Of channels at the same rank, the one that occupies the fewest threads.
        priority = min(of_rank, key=lambda one: (one.rank, self._of_channel(one.channel)))
        self._leave()
        self._mine.priority = priority
        self._busy[priority] += 1
        return heapq.heappop(self._items[priority])

    def _admits(self, priority: Priority) -> bool:
        """Return whether one more thread may serve this priority; threads at lower priorities count too."""
        mine: Priority | None = getattr(self._mine, "priority", None)
        busy = sum(count for other, count in self._busy.items() if other.rank >= priority.rank)
        free = busy - (mine is not None and mine.rank >= priority.rank) < max(
            1, self._threads - priority.rank * self._reserve
        )
        return free and self._leaves_others_theirs(priority.channel, mine.channel if mine is not None else "")

    def _leaves_others_theirs(self, channel: str, mine: str) -> bool:
        """Return whether one more thread may serve a channel. `mine`: what the asking thread has served until now.

        The first channel leaves one thread to the others. One of these that has none may have one, while the first
        keeps one. It may have more if they have at most half of all together, and one is left for each that has none.
        Without the first, each leaves one to each other one.
        """
        own = self._of_channel(channel) - (mine == channel)
        others = len(self._served) - 1
        if channel not in self._served:
            return True
        if _FIRST not in self._served:
            return own < max(1, self._threads - others)
        if channel == _FIRST:
            return own < max(1, self._threads - min(1, others))
        rest = self._served - {_FIRST}
        busy = sum(map(self._of_channel, rest)) - (mine in rest)
        if not own:
            return busy < max(1, self._threads - 1)
        idle = sum(not self._of_channel(other) for other in rest)
        return busy < min(self._threads // 2, self._threads - 1 - idle)

    def _of_channel(self, channel: str) -> int:
        return sum(count for other, count in self._busy.items() if other.channel == channel)

    def _leave(self) -> None:
        priority: Priority | None = getattr(self._mine, "priority", None)
        if priority is not None:
            self._busy[priority] -= 1
            self._mine.priority = None
