"""Accept: POST over N connections, each with one POST in flight, while no worker runs."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import load
from benchmarks.figures import Figures, named
from benchmarks.meter import each, memory, metered
from benchmarks.plan import Plan
from benchmarks.rows import Row, costs, fault_rows, memory_rows, percentiles, saturated
from benchmarks.system import System

WARM_UP = 2  # seconds


def measure(system: System, plan: Plan) -> Figures:
    """Measure each number of connections, on one table."""
    figures: Figures = {}
    with system.prepared(), system.api():
        load.for_seconds(system.url, 16, WARM_UP, "warm-")
        for connections in plan.connections:
            figures |= closed(system, f"accept {connections}", connections, plan.seconds)
        return figures | memory(system, "loaded")


def closed(system: System, key: str, connections: int, seconds: int) -> Figures:
    """Measure one number of connections."""
    with metered(system) as spent:
        done = load.for_seconds(system.url, connections, seconds, f"{key.replace(' ', '-')}-")
    figures = {"rate": done.rate, "p50": done.p50, "p95": done.p95, "p99": done.p99, "errors": done.errors}
    return named(key, figures | each(spent, done.answers))


def lines(label: str, key: str) -> Iterator[Row]:
    """Yield the rows for the figures of `closed`."""
    yield Row(f"{label}: per second", f"{key} rate")
    yield from percentiles(label, key)
    yield from costs(label, key, "api", "postgresql", "redis")
    yield from saturated(label, key)
    yield from fault_rows(label, key)


def rows(plan: Plan) -> Iterator[Row]:
    """Yield rows for each number of connections, and for the API's memory afterwards."""
    for n in plan.connections:
        yield from lines(f"accept, {n} connection{'s' * (n > 1)}", f"accept {n}")
    yield from memory_rows("loaded", "api")
