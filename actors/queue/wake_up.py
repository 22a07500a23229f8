"""Enqueue wake-up messages: short lists of notification ids, many messages in one round trip to Redis.

A wake-up message that cannot be enqueued is not an error. Its rows stay due, and the relay enqueues them later.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import redis
from dramatiq.message import Message
from opentelemetry.trace import SpanKind

from actors.queue import fairness
from actors.queue.broker import get_broker
from actors.queue.fairness import Fairness
from actors.queue.priorities import BY_QUEUE, PRIORITIES, Depth
from db.clock import clock
from db.coalesce import Closed, Coalescer, Full
from db.drafts import Group
from runtime import logs, metrics, tracing
from settings import Settings

log = logs.get("wake_up")

MESSAGE_SIZE = 50  # ids in one message, at most
WAITING = 100_000  # lists of ids that may wait in one process to be enqueued, claimed or settled
TAKEN_WITHIN = 20e-6  # seconds that workers need at least to take one message
# After a round trip with SEVERAL ids or more, everything submitted within REST seconds shares the next one. A round
# trip costs this process as much CPU time as three POSTs; a process with eight connections stores every 3 ms.
SEVERAL = 4
REST = 0.005


class WakeUp(NamedTuple):
    """Notifications of one client and one priority to enqueue.

    `at`: the time of enqueueing that their rows hold, in seconds since 1970 on the database's clock.
    `traces`: the trace contexts of those notifications that have one.
    """

    ids: Sequence[int]
    at: float
    priority: str = "normal"
    client: int = 1
    traces: Sequence[str] = ()


class WakeUpQueue:
    """Background task that enqueues submitted ids, up to RELAY_WATERMARK messages in the queue of each priority."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._fairness = Fairness()
        self._depths = dict.fromkeys(PRIORITIES, Depth())
        self._known_at = dict.fromkeys(PRIORITIES, -math.inf)
        for result in ("enqueued", "left", "skipped", "failed"):  # Every series starts at 0.
            _ = metrics.wake_ups[result]
        self._closing = threading.Event()
        self._enqueueing: Coalescer[WakeUp, None] = Coalescer(
            "enqueue", self._enqueue, most=settings.store.accept_batch, waiting=WAITING
        )

    def enqueue(self, wake_up: WakeUp) -> None:
        """Submit ids to be enqueued soon. Return at once; if too many wait already, leave them to the relay."""
        try:
            self._enqueueing.submit(wake_up)
        except (Full, Closed):
            metrics.wake_ups["skipped"].inc(len(wake_up.ids))
            log.debug("wake_up.skipped", count=len(wake_up.ids))

    def left(self, groups: Iterable[Group]) -> Set[Group]:
        """Return the groups whose queue is full according to the last known depths; the relay enqueues them later."""
        left = set()
        for (priority, client), count in Counter(groups).items():
            if not self._has_room(self._fairness.priority(priority, client, self._depths[priority].unfinished, count)):
                metrics.wake_ups["left"].inc(count)
                left.add((priority, client))
                if self._outdated([priority]):
                    # Empty request that only refreshes the depths.
                    self.enqueue(WakeUp((), clock.now(), priority, client))
        return left

    def close(self, timeout: float) -> None:
        """Enqueue what was submitted, for up to `timeout` seconds."""
        self._closing.set()
        self._enqueueing.close(timeout)

    def _enqueue(self, wake_ups: Sequence[WakeUp]) -> Sequence[None]:
        for wake_up in wake_ups:
            self._fairness.count(wake_up.priority, wake_up.client, len(wake_up.ids))
        try:
            with _span(wake_ups):
                self._make_sure_of_depths({wake_up.priority for wake_up in wake_ups})
                priorities = [self._priority(wake_up) for wake_up in wake_ups]
                self._send(wake_ups, priorities)
                # If a queue turned out to be crowded only now, enqueue once more at the priority chosen for that.
                late = [
                    wake_up
                    for wake_up, priority in zip(wake_ups, priorities, strict=True)
                    if self._priority(wake_up) != priority
                ]
                self._send(late, [self._priority(wake_up) for wake_up in late])
        except redis.RedisError as error:
            metrics.wake_ups["failed"].inc(sum(len(wake_up.ids) for wake_up in wake_ups))
            log.warning(
                "wake_up.failed", count=sum(len(wake_up.ids) for wake_up in wake_ups), error=type(error).__name__
            )
        if sum(len(wake_up.ids) for wake_up in wake_ups) >= SEVERAL:
            self._closing.wait(REST)
        return [None] * len(wake_ups)

    def _priority(self, wake_up: WakeUp) -> str:
        return self._fairness.priority(wake_up.priority, wake_up.client, self._depths[wake_up.priority].unfinished)

    def _send(self, wake_ups: Sequence[WakeUp], priorities: Sequence[str]) -> None:
        ids: defaultdict[str, list[int]] = defaultdict(list)
        for wake_up, priority in zip(wake_ups, priorities, strict=True):
            # The watermark was checked when the ids were accepted. Tolerate twice as many messages since then.
            if self._depths[priority].waiting < 2 * self._settings.queue.relay_watermark:
                ids[priority] += wake_up.ids
        if queued := [
            one for priority in ids for one in messages(ids[priority], self._spread(priority), MESSAGE_SIZE, priority)
        ]:
            depths = get_broker().enqueue_all(queued, min(wake_up.at for wake_up in wake_ups))
            metrics.wake_ups["enqueued"].inc(sum(map(len, ids.values())))
            self._learn({BY_QUEUE[queue].name: depth for queue, depth in depths.items()})

    def _spread(self, priority: str) -> int:
        """Return how many more messages the queue needs to keep every worker thread busy."""
        return max(1, self._settings.queue.spread - self._depths[priority].waiting)

    def _has_room(self, priority: str) -> bool:
        return self._depths[priority].waiting < self._settings.queue.relay_watermark

    def _make_sure_of_depths(self, priorities: Iterable[str]) -> None:
        if self._outdated(priorities):
            self._learn(self._depths)  # Before the request, so that it is not repeated while Redis is down.
            self._learn(get_broker().depths())

    def _learn(self, depths: Mapping[str, Depth]) -> None:
        self._depths |= depths
        self._known_at |= dict.fromkeys(depths, time.monotonic())

    def _outdated(self, priorities: Iterable[str]) -> bool:
        """Return whether one of these queues was deep when last seen, and may be empty by now."""
        great, now = min(self._settings.queue.relay_watermark, fairness.DEPTH), time.monotonic()
        deep = ((priority, self._depths[priority].unfinished) for priority in priorities)
        return any(crowd >= great and now - self._known_at[priority] > crowd * TAKEN_WITHIN for priority, crowd in deep)


def _span(wake_ups: Sequence[WakeUp]) -> AbstractContextManager[None]:
    queue = PRIORITIES[wake_ups[0].priority].queue
    about = tracing.messages("send", queue, sum(len(wake_up.ids) for wake_up in wake_ups))
    traces = [trace for wake_up in wake_ups for trace in wake_up.traces]
    return tracing.shared(f"send {queue}", SpanKind.PRODUCER, about, traces)


def messages(ids: Sequence[int], threads: int, most: int, priority: str = "normal") -> list[Message[Any]]:
    """Split the ids into messages of at most `most` ids, short enough to give each of the threads one."""
    size = min(most, max(1, math.ceil(len(ids) / max(1, threads))))
    return [message(ids[start : start + size], priority) for start in range(0, len(ids), size)]


def message(ids: Sequence[int], priority: str = "normal") -> Message[Any]:
    """Return a message that makes a worker deliver `ids`."""
    to = PRIORITIES[priority]
    return Message(queue_name=to.queue, actor_name=to.actor, args=(list(ids),), kwargs={}, options={})
