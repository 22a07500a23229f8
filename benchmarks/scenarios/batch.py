"""Batch: many notifications in one POST over few connections, compared with single POSTs of the same system."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import load
from benchmarks.figures import Figures, named
from benchmarks.meter import each, metered
from benchmarks.plan import Plan
from benchmarks.rows import Row, costs, fault_rows, saturated
from benchmarks.scenarios.accept import WARM_UP
from benchmarks.system import System

# With fewer connections, one of two API processes may accept all of them.
CONNECTIONS = 8
SINGLE_CONNECTIONS = 64


def measure(system: System, plan: Plan) -> Figures:
    """Measure single POSTs, then each batch size if the system has batches."""
    with system.prepared(), system.api():
        load.for_seconds(system.url, 16, WARM_UP, "warm-")
        single = load.for_seconds(system.url, SINGLE_CONNECTIONS, plan.seconds, "single-")
        figures: Figures = {"batch single rate": single.rate, "batch single errors": single.errors}
        if system.target.batch:
            for items in plan.batches:
                figures |= _batches(system, items, plan.seconds, single.rate)
        return figures


def _batches(system: System, items: int, seconds: int, single: float) -> Figures:
    with metered(system) as spent:
        done = load.for_seconds(system.batch_url, CONNECTIONS, seconds, f"b{items}-", items)
    rate = done.rate * items
    figures = {"rate": rate, "p50": done.p50, "p99": done.p99, "times": rate / single, "errors": done.errors}
    return named(f"batch {items}", figures | each(spent, done.answers * items))


def rows(plan: Plan) -> Iterator[Row]:
    """Yield rows for each size. A system without batches is compared by its rate of single POSTs."""
    yield Row(f"single POSTs, {SINGLE_CONNECTIONS} connections: per second", "batch single rate")
    yield from fault_rows("single POSTs", "batch single")
    for items in plan.batches:
        label, key = f"batch of {items:,}, {CONNECTIONS} connections", f"batch {items}"
        yield Row(f"{label}: items per second", f"{key} rate", instead="batch single rate")
        yield Row(f"{label}: times the rate of single POSTs", f"{key} times", compared=False)
        yield Row(f"{label}: p50 ms of a batch", f"{key} p50")
        yield Row(f"{label}: p99 ms of a batch", f"{key} p99")
        yield from costs(label, key, "api", "postgresql", "redis")
        yield from saturated(label, key)
        yield from fault_rows(label, key)
