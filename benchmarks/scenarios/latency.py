"""Latency: time from when a POST was due to the last byte of its mail at the sink, when idle and under steady load."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from benchmarks import arrivals
from benchmarks.figures import PERCENTILES, Figures, named, percentiles
from benchmarks.meter import memory
from benchmarks.openloop import OpenLoop
from benchmarks.plan import Plan
from benchmarks.rows import Row, fault_rows, memory_rows
from benchmarks.scenarios.accept import WARM_UP
from benchmarks.system import System
from benchmarks.wire import endpoint

IDLE = 5  # seconds without load before the first POST to an idle system


def measure(system: System, plan: Plan) -> Figures:
    """Measure the memory and latency of the idle system, then the latency under load."""
    with system.prepared(), system.api(), system.workers():
        arrivals.wait_for_first(system)
        figures = memory(system, "idle")
        if plan.idle_posts:
            time.sleep(IDLE)
            figures |= _posts(system, "idle", 1 / plan.idle_gap, plan.idle_posts)
        if plan.latency_seconds:
            _posts(system, "warm", plan.rate, int(plan.rate * WARM_UP))
            figures |= _posts(system, "latency", plan.rate, int(plan.rate * plan.latency_seconds))
        return figures


def _posts(system: System, key: str, rate: float, count: int) -> Figures:
    system.mailbox.reset()
    generator = OpenLoop(endpoint(system.url))
    try:
        due = generator.run(rate, count, f"{key}-")
        arrivals.wait_for_recipients(system, len(due))
    finally:
        generator.close()
    waits = _waits(due, system.mailbox.times())
    return named(key, percentiles(waits) | {"errors": generator.errors, "missing": len(due) - len(waits)})


def _waits(due: Mapping[str, float], arrived: Mapping[str, float]) -> list[float]:
    """Return the latencies in milliseconds."""
    return [(arrived[recipient] - moment) * 1_000 for recipient, moment in due.items() if recipient in arrived]


def rows(plan: Plan) -> Iterator[Row]:
    """Yield rows for the percentiles. The few POSTs to an idle system have the slowest one instead of a p99."""
    idle = f"POST to mail, idle: 1 POST in {plan.idle_gap:g} s"
    if plan.idle_posts:
        yield from (Row(f"{idle}: {p} ms", f"idle {p}") for p in ("p50", "slowest"))
    if plan.latency_seconds:
        yield from (Row(f"POST to mail, {plan.rate:g}/s: {p} ms", f"latency {p}") for p in PERCENTILES)
    for label, key in ((idle, "idle"), (f"POST to mail, {plan.rate:g}/s", "latency")):
        yield from fault_rows(label, key)
    yield from memory_rows("idle", "api")
    yield from memory_rows("idle", "workers")
