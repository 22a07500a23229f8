"""Retries: a long backlog of which the mail server defers some recipients once (451)."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.figures import Figures
from benchmarks.plan import Plan
from benchmarks.rows import Row, costs, fault_rows, saturated
from benchmarks.scenarios import drain
from benchmarks.system import System
from tests.wake_ups import WakeUps

# One second is usual in other systems. With our default of 30, the retries would come after the backlog.
SOON = {"RETRY_MIN_BACKOFF": "1"}
MOST = 0.8  # share of the recipients that the rate covers: the last retries only wait for their time


def measure(system: System, plan: Plan) -> Figures:
    """Measure one drain, and for our own system the number of wake-ups per notification: ids put into a queue."""
    if not plan.retries_backlog:
        return {}
    with system.told(**SOON), system.prepared(), system.api():
        if not system.target.ours:
            return _drained(system, plan)
        with WakeUps(system.stack.redis_url) as wake_ups:
            figures = _drained(system, plan)
        return figures | {"retries wake-ups": wake_ups.enqueued / plan.retries_backlog}


def _drained(system: System, plan: Plan) -> Figures:
    found = drain.drained(system, "retries", plan.retries_backlog, refused=plan.retries_share)
    # The scenario `drain` reports the memory.
    figures = {name: value for name, value in found.items() if not name.startswith("memory")}
    return figures | {"retries rate": _rate(sorted(system.mailbox.times().values()))}


def _rate(arrived: list[float]) -> float:
    """Return the mails per second until the share MOST had arrived."""
    most = arrived[: int(len(arrived) * MOST)]
    return (len(most) - 1) / max(most[-1] - most[0], 1e-9) if most else 0.0


def rows(plan: Plan) -> Iterator[Row]:
    """Yield the rows of the drain."""
    label, key = f"drain of {plan.retries_backlog:,}, {plan.retries_share:.0%} refused once", "retries"
    yield Row(f"{label}: per second, to the first {MOST:.0%}", f"{key} rate")
    yield Row(f"{label}: s from worker start to the last", f"{key} seconds")
    yield Row(f"{label}: wake-ups each", f"{key} wake-ups", compared=False)
    yield from costs(label, key, "workers", "postgresql", "redis")
    yield Row(f"{label}: transactions each", f"{key} commits")
    yield from saturated(label, key)
    yield from fault_rows(label, key)
