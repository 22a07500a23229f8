"""A long backlog of which the mail server refuses some recipients at first (451), so that retries come in between."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks import arrivals, load
from benchmarks.figures import Figures, named
from benchmarks.meter import each, metered
from benchmarks.plan import Plan
from benchmarks.rows import Row, costs, fault_rows, saturated
from benchmarks.scenarios.drain import FILLING
from benchmarks.system import System
from tests.bells import Bells

# The other systems' usual second; with our own 30 they would come when the backlog is gone.
SOON = {"RETRY_MIN_BACKOFF": "1"}
MOST = 0.8  # of the recipients: what the last retries wait for is no rate


def measure(system: System, plan: Plan) -> Figures:
    """One drain. Of our own system the bells as well: each id that is put into a queue is one."""
    if not plan.retries_backlog:
        return {}
    with system.told(**SOON), system.prepared(), system.api():
        if not system.target.ours:
            return named("retries", _drained(system, plan))
        with Bells(system.stack.redis_url) as bells:
            figures = _drained(system, plan)
        return named("retries", figures | {"bells": bells.rung / plan.retries_backlog})


def _drained(system: System, plan: Plan) -> Figures:
    backlog = plan.retries_backlog
    filled = load.exactly(system.url, FILLING, backlog, "r-")
    system.after_fill()
    system.mailbox.reset()
    system.mailbox.defer(plan.retries_share)
    begun, committed = time.time(), system.stack.transactions(system.database)
    with system.workers():
        arrivals.wait_for_drain(system, 1)
        early = system.mailbox.count().mails
        with metered(system) as spent:
            arrivals.wait_for_drain(system, backlog)
    system.mailbox.defer(0)
    came = system.mailbox.count()
    figures = {
        "rate": _rate(sorted(system.mailbox.times().values())),
        "seconds": came.last - begun,
        "commits": (system.stack.transactions(system.database) - committed) / backlog,
        "errors": filled.errors,
        "missing": backlog - came.recipients,
        "twice": came.mails - came.recipients,
    }
    return figures | each(spent, backlog - early)


def _rate(arrived: list[float]) -> float:
    """Per second, until MOST of them had come."""
    most = arrived[: int(len(arrived) * MOST)]
    return (len(most) - 1) / max(most[-1] - most[0], 1e-9) if most else 0.0


def rows(plan: Plan) -> Iterator[Row]:
    """One block."""
    label, key = f"drain of {plan.retries_backlog:,}, {plan.retries_share:.0%} refused once", "retries"
    yield Row(f"{label}: per second, to the first {MOST:.0%}", f"{key} rate")
    yield Row(f"{label}: s from worker start to the last", f"{key} seconds")
    yield Row(f"{label}: bells each", f"{key} bells", compared=False)
    yield from costs(label, key, "workers", "postgresql", "redis")
    yield Row(f"{label}: transactions each", f"{key} commits")
    yield from saturated(label, key)
    yield from fault_rows(label, key)
