"""Scale: the same drain with one, two and three worker processes."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.figures import Figures
from benchmarks.plan import Plan
from benchmarks.rows import Row
from benchmarks.scenarios import drain
from benchmarks.system import System


def measure(system: System, plan: Plan) -> Figures:
    """Measure each number of processes, if the target lets us choose it."""
    figures: Figures = {}
    if system.target.scales:
        for processes in plan.processes:
            with system.prepared(), system.api():
                found = drain.drained(system, f"scale {processes}", plan.backlog, processes=processes)
            # The scenario `drain` reports the memory.
            figures |= {name: value for name, value in found.items() if not name.startswith("memory")}
    return figures


def rows(plan: Plan) -> Iterator[Row]:
    """Yield rows for each number of processes."""
    for n in plan.processes:
        yield from drain.lines(f"drain of {plan.backlog:,} by {n} process{'es' * (n > 1)}", f"scale {n}")
