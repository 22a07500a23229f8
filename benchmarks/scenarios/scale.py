"""The same drain by one worker process, by two, by three."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.figures import Figures
from benchmarks.plan import Plan
from benchmarks.rows import Row
from benchmarks.scenarios import drain
from benchmarks.system import System


def measure(system: System, plan: Plan) -> Figures:
    """Of a target whose workers can be told their number."""
    figures: Figures = {}
    if system.target.scales:
        for processes in plan.processes:
            with system.prepared(), system.api():
                found = drain.drained(system, f"scale {processes}", plan.backlog, processes=processes)
            # How much memory a drain takes, `drain` tells.
            figures |= {name: value for name, value in found.items() if not name.startswith("memory")}
    return figures


def rows(plan: Plan) -> Iterator[Row]:
    """By the number of processes."""
    for n in plan.processes:
        yield from drain.lines(f"drain of {plan.backlog:,} by {n} process{'es' * (n > 1)}", f"scale {n}")
