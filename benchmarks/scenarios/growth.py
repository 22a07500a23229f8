"""Growth: accept and drain with many old rows in the table. Our system only, because the rows are inserted by SQL."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from benchmarks import load, old_rows
from benchmarks.figures import Figures
from benchmarks.plan import Plan
from benchmarks.rows import Row
from benchmarks.scenarios import accept, drain
from benchmarks.system import System

CONNECTIONS = 64


def measure(system: System, plan: Plan) -> Figures:
    """Measure each number of old rows."""
    figures: Figures = {}
    for count in plan.old_rows if system.target.ours else ():
        with system.prepared(_beside(system, count)), system.api():
            found = drain.drained(system, f"growth {count} drain", plan.backlog)
            load.for_seconds(system.url, 16, accept.WARM_UP, "warm-")
            found |= accept.closed(system, f"growth {count} accept", CONNECTIONS, plan.seconds)
        figures |= {name: value for name, value in found.items() if not name.startswith("memory")}
    return figures


def _beside(system: System, count: int) -> str:
    """Return the database to copy. It is created in the first round and kept for later ones."""
    if not count:
        return ""
    name = f"old_{count}"
    if not system.own_servers.has(name):
        print(f"# {system.name}: inserting {count:,} old rows", file=sys.stderr, flush=True)
        with system.prepared():
            old_rows.insert(system.own_servers, system.database, count)
            system.keep_as(name)
    return name


def rows(plan: Plan) -> Iterator[Row]:
    """Yield rows for each number of old rows."""
    for count in plan.old_rows:
        beside = f"with {count:,} old rows"
        yield from accept.lines(f"accept, {CONNECTIONS} connections, {beside}", f"growth {count} accept")
        yield from drain.lines(f"drain of {plan.backlog:,}, {beside}", f"growth {count} drain")
