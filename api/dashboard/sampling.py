"""One look at what is moving, and how fast it moved since the look before. Call `take` within `connection()`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import redis

from actors.queue.broker import Depth, broker
from db import pauses, pulse, sessions
from db.pauses import Pause
from db.pulse import Pulse, Worker


class Rates(NamedTuple):
    """Each second. `accepted` counts the ids drawn, those of callbacks too; a claim lost to another worker is none."""

    accepted: float
    sent: float
    failed: float
    retried: float
    uncertain: float
    rescued: float


# What the workers count, by their own words.
_TOLD = [name for name in Rates._fields if name != "accepted"]


class Sample(NamedTuple):
    """`rates`: None at the first look. `depths`: of the queues, None where Redis cannot be asked.

    `good`: which of the sessions that look on may go on looking.
    """

    pulse: Pulse
    rates: Rates | None
    depths: Mapping[str, Depth] | None
    pauses: list[Pause]
    good: frozenset[bytes]


def take(worker_timeout: float, provider: str, before: Pulse | None, lookers: Sequence[bytes]) -> Sample:
    """Look once; raises Unavailable."""
    now = pulse.pulse(worker_timeout, provider)
    good = frozenset(sessions.live(lookers)) if lookers else frozenset()
    return Sample(now, rates(before, now) if before else None, _depths(), pauses.all_in_force(), good)


def rates(before: Pulse, now: Pulse) -> Rates:
    """Between two looks. A worker that has come since began at nothing, one that has gone is not heard any more."""
    seconds = max(now.at - before.at, 0.001)
    known = {worker.id: worker.tallies for worker in before.workers}
    each = {
        word: sum(_more(worker, known.get(worker.id), word, before.at) for worker in now.workers) / seconds
        for word in _TOLD
    }
    # Where a database was put back to an earlier state.
    return Rates(accepted=max(0, now.accepted - before.accepted) / seconds, **each)


def _more(worker: Worker, before: Mapping[str, int] | None, word: str, since: float) -> int:
    if before is None:
        return worker.tallies.get(word, 0) if worker.started_at.timestamp() >= since else 0
    return max(0, worker.tallies.get(word, 0) - before.get(word, 0))


def _depths() -> Mapping[str, Depth] | None:
    try:
        return broker.depths()
    except redis.RedisError:
        return None
