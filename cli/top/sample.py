"""Samples of the system, and the rates between two of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from cli.operator.redis_queues import RedisQueues
from db import drain, failing, pauses
from db.database import Unavailable, connection
from db.drain import InFlight
from db.failing import Failure
from db.live_stats import LiveStats, live_stats
from db.pauses import Pause

FAILURES = 10
WINDOW = 10.0  # seconds that rates are averages of: workers report their counters about once a second
TALLIED = ("sent", "failed", "retried")


class Sample(NamedTuple):
    """State of the system at a time. `depths` is empty if Redis does not answer."""

    live_stats: LiveStats
    in_flight: InFlight
    depths: Mapping[str, Any]
    paused: list[Pause]
    failures: list[Failure]


class View(NamedTuple):
    """Content of the screen.

    `rates` are per second, and empty before the second sample. `trouble` names a server that does not answer.
    """

    sample: Sample | None
    rates: Mapping[str, float]
    trouble: str = ""


class Sampler:
    """Source of views, which keeps the samples of the last WINDOW."""

    def __init__(self, redis_queues: RedisQueues, worker_timeout: float, providers: Sequence[str] = ()) -> None:
        self._doorbell, self._asked = redis_queues, (worker_timeout, providers)
        self._kept: deque[Sample] = deque()

    def look(self) -> View:
        """Take a sample and return the view; if the database does not answer, the last sample and the reason."""
        try:
            with connection():
                found = live_stats(*self._asked), drain.in_flight(), pauses.all_in_force(), failing.newest(FAILURES)
        except Unavailable as error:
            last = self._kept[-1] if self._kept else None
            return View(last, {}, f"The database does not answer: {error}")
        now, flying, paused, failures = found
        sample = Sample(now, flying, self._doorbell.depths(), paused, failures)
        self._kept.append(sample)
        while len(self._kept) > 2 and now.at - self._kept[1].live_stats.at >= WINDOW:
            self._kept.popleft()
        return View(sample, rates(self._kept[0].live_stats, now), self._doorbell.error or "")


def rates(before: LiveStats, now: LiveStats) -> dict[str, float]:
    """Return the average rates per second. `accepted` counts ids, and so callbacks and gaps too."""
    seconds = now.at - before.at
    if seconds <= 0:
        return {}
    done = _done(before, now)
    changes = {"accepted": now.accepted - before.accepted, **done}
    return {name: max(0, change) / seconds for name, change in changes.items()}


def _done(before: LiveStats, now: LiveStats) -> dict[str, int]:
    """Return by outcome what the workers did between two samples; of a worker that started since, all it did."""
    earlier = {worker.id: worker.counters for worker in before.workers}
    done = dict.fromkeys(TALLIED, 0)
    for worker in now.workers:
        if worker.id in earlier or worker.started_at.timestamp() >= before.at:
            counted = earlier.get(worker.id, {})
            for name in TALLIED:
                done[name] += worker.counters.get(name, 0) - counted.get(name, 0)
    return done
