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

from actors.queue.broker import Depth, get_broker
from actors.queue.fairness import Turns
from actors.queue.priorities import BY_QUEUE, LANES
from db.clock import clock
from db.coalesce import Closed, Coalescer, Full
from db.drafts import Group
from runtime import logs, metrics, tracing
from settings import Settings

log = logs.get("bell")

TAKEN_WITHIN = 20e-6  # seconds that workers need at least to take one message
# After a round trip with SEVERAL ids or more, everything submitted within REST seconds shares the next one. A round
# trip costs this process as much CPU time as three POSTs; a process with eight connections stores every 3 ms.
SEVERAL = 4
REST = 0.005


class Ring(NamedTuple):
    """Notifications of one client and one priority to enqueue.

    `at`: the time of enqueueing that their rows hold, in seconds since 1970 on the database's clock.
    `traces`: the trace contexts of those notifications that have one.
    """

    ids: Sequence[int]
    at: float
    lane: str = "normal"
    client: int = 1
    traces: Sequence[str] = ()


class Bell:
    """Background task that enqueues submitted ids, up to RELAY_WATERMARK messages in the queue of each priority."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._turns = Turns(settings)
        self._depths = dict.fromkeys(LANES, Depth())
        self._known_at = dict.fromkeys(LANES, -math.inf)
        for result in ("rung", "left", "skipped", "failed"):  # Every series starts at 0.
            _ = metrics.bells[result]
        self._closing = threading.Event()
        self._ringing: Coalescer[Ring, None] = Coalescer(
            "ring", self._ring, most=settings.accept_batch, waiting=settings.ring_waiting
        )

    def ring(self, ring: Ring) -> None:
        """Submit ids to be enqueued soon. Return at once; if too many wait already, leave them to the relay."""
        try:
            self._ringing.submit(ring)
        except (Full, Closed):
            metrics.bells["skipped"].inc(len(ring.ids))
            log.debug("bell.skipped", count=len(ring.ids))

    def left(self, groups: Iterable[Group]) -> Set[Group]:
        """Return the groups whose queue is full according to the last known depths; the relay enqueues them later."""
        left = set()
        for (lane, client), count in Counter(groups).items():
            if not self._has_room(self._turns.lane(lane, client, self._depths[lane].unfinished, count)):
                metrics.bells["left"].inc(count)
                left.add((lane, client))
                if self._outdated([lane]):
                    self.ring(Ring((), clock.now(), lane, client))  # Empty request that only refreshes the depths.
        return left

    def close(self, timeout: float) -> None:
        """Enqueue what was submitted, for up to `timeout` seconds."""
        self._closing.set()
        self._ringing.close(timeout)

    def _ring(self, rings: Sequence[Ring]) -> Sequence[None]:
        for ring in rings:
            self._turns.count(ring.lane, ring.client, len(ring.ids))
        try:
            with _span(rings):
                self._make_sure_of_depths({ring.lane for ring in rings})
                lanes = [self._lane(ring) for ring in rings]
                self._send(rings, lanes)
                # If a queue turned out to be crowded only now, enqueue once more at the priority chosen for that.
                late = [ring for ring, lane in zip(rings, lanes, strict=True) if self._lane(ring) != lane]
                self._send(late, [self._lane(ring) for ring in late])
        except redis.RedisError as error:
            metrics.bells["failed"].inc(sum(len(ring.ids) for ring in rings))
            log.warning("bell.failed", count=sum(len(ring.ids) for ring in rings), error=type(error).__name__)
        if sum(len(ring.ids) for ring in rings) >= SEVERAL:
            self._closing.wait(REST)
        return [None] * len(rings)

    def _lane(self, ring: Ring) -> str:
        return self._turns.lane(ring.lane, ring.client, self._depths[ring.lane].unfinished)

    def _send(self, rings: Sequence[Ring], lanes: Sequence[str]) -> None:
        ids: defaultdict[str, list[int]] = defaultdict(list)
        for ring, lane in zip(rings, lanes, strict=True):
            # The watermark was checked when the ids were accepted. Tolerate twice as many messages since then.
            if self._depths[lane].waiting < 2 * self._settings.relay_watermark:
                ids[lane] += ring.ids
        size = self._settings.ring_size
        if bells := [bell for lane in ids for bell in messages(ids[lane], self._spread(lane), size, lane)]:
            depths = get_broker().ring(bells, min(ring.at for ring in rings))
            metrics.bells["rung"].inc(sum(map(len, ids.values())))
            self._learn({BY_QUEUE[queue].name: depth for queue, depth in depths.items()})

    def _spread(self, lane: str) -> int:
        """Return how many more messages the queue needs to keep every worker thread busy."""
        return max(1, self._settings.ring_spread - self._depths[lane].waiting)

    def _has_room(self, lane: str) -> bool:
        return self._depths[lane].waiting < self._settings.relay_watermark

    def _make_sure_of_depths(self, lanes: Iterable[str]) -> None:
        if self._outdated(lanes):
            self._learn(self._depths)  # Before the request, so that it is not repeated while Redis is down.
            self._learn(get_broker().depths())

    def _learn(self, depths: Mapping[str, Depth]) -> None:
        self._depths |= depths
        self._known_at |= dict.fromkeys(depths, time.monotonic())

    def _outdated(self, lanes: Iterable[str]) -> bool:
        """Return whether one of these queues was deep when last seen, and may be empty by now."""
        great, now = min(self._settings.relay_watermark, self._settings.fair_depth), time.monotonic()
        deep = ((lane, self._depths[lane].unfinished) for lane in lanes)
        return any(crowd >= great and now - self._known_at[lane] > crowd * TAKEN_WITHIN for lane, crowd in deep)


def _span(rings: Sequence[Ring]) -> AbstractContextManager[None]:
    queue = LANES[rings[0].lane].queue
    about = tracing.messages("send", queue, sum(len(ring.ids) for ring in rings))
    traces = [trace for ring in rings for trace in ring.traces]
    return tracing.shared(f"send {queue}", SpanKind.PRODUCER, about, traces)


def messages(ids: Sequence[int], threads: int, most: int, lane: str = "normal") -> list[Message[Any]]:
    """Split the ids into messages of at most `most` ids, short enough to give each of the threads one."""
    size = min(most, max(1, math.ceil(len(ids) / max(1, threads))))
    return [message(ids[start : start + size], lane) for start in range(0, len(ids), size)]


def message(ids: Sequence[int], lane: str = "normal") -> Message[Any]:
    """Return a message that makes a worker deliver `ids`."""
    to = LANES[lane]
    return Message(queue_name=to.queue, actor_name=to.actor, args=(list(ids),), kwargs={}, options={})
