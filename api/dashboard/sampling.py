"""Read the state of the system, and compute rates since the sample before. Call `take` within `connection()`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import redis

from actors.queue.broker import get_broker
from actors.queue.priorities import Depth
from db import live_stats, pauses, sessions
from db.live_stats import LiveStats, Worker
from db.pauses import Pause


class Rates(NamedTuple):
    """Events per second. `accepted` counts allocated ids, including those of callbacks; lost claims do not count."""

    accepted: float
    sent: float
    failed: float
    retried: float
    uncertain: float
    rescued: float


# The counters in the heartbeats of the workers.
_TOLD = [name for name in Rates._fields if name != "accepted"]


class Sample(NamedTuple):
    """The state of the system at one moment.

    `rates` is None in the first sample. `depths` of the queues is None if Redis does not answer.
    `good` holds the sessions of viewers that are still valid.
    """

    live_stats: LiveStats
    rates: Rates | None
    depths: Mapping[str, Depth] | None
    pauses: list[Pause]
    good: frozenset[bytes]


def take(worker_timeout: float, providers: Sequence[str], before: LiveStats | None, lookers: Sequence[bytes]) -> Sample:
    """Return a new sample; raise Unavailable if PostgreSQL does not answer."""
    now = live_stats.live_stats(worker_timeout, providers)
    good = frozenset(sessions.live(lookers)) if lookers else frozenset()
    return Sample(now, rates(before, now) if before else None, _depths(), pauses.all_in_force(), good)


def rates(before: LiveStats, now: LiveStats) -> Rates:
    """Return the rates between two samples. A new worker started at 0; a worker that is gone does not count."""
    seconds = max(now.at - before.at, 0.001)
    known = {worker.id: worker.counters for worker in before.workers}
    each = {
        word: sum(_more(worker, known.get(worker.id), word, before.at) for worker in now.workers) / seconds
        for word in _TOLD
    }
    # The difference is negative after a restore of the database.
    return Rates(accepted=max(0, now.accepted - before.accepted) / seconds, **each)


def _more(worker: Worker, before: Mapping[str, int] | None, word: str, since: float) -> int:
    if before is None:
        return worker.counters.get(word, 0) if worker.started_at.timestamp() >= since else 0
    return max(0, worker.counters.get(word, 0) - before.get(word, 0))


def _depths() -> Mapping[str, Depth] | None:
    try:
        return get_broker().depths()
    except redis.RedisError:
        return None
