"""What can be measured: each family is a module with `measure(system, plan)` and `rows(plan)`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from benchmarks.figures import Figures
from benchmarks.plan import Plan
from benchmarks.rows import Row
from benchmarks.scenarios import accept, batch, drain, growth, lanes, latency, retries, scale
from benchmarks.system import System


class Scenario(NamedTuple):
    """`measure` begins each part with an empty database, and returns nothing for a target that lacks what it needs."""

    measure: Callable[[System, Plan], Figures]
    rows: Callable[[Plan], Iterator[Row]]
    once: bool = False  # in the first round only, because it takes long


SCENARIOS: Mapping[str, Scenario] = {
    "accept": Scenario(accept.measure, accept.rows),
    "batch": Scenario(batch.measure, batch.rows),
    "latency": Scenario(latency.measure, latency.rows),
    "drain": Scenario(drain.measure, drain.rows),
    "scale": Scenario(scale.measure, scale.rows),
    "retries": Scenario(retries.measure, retries.rows),
    "growth": Scenario(growth.measure, growth.rows),
    "lanes": Scenario(lanes.measure, lanes.rows, once=True),
}


def measure(system: System, plan: Plan, wanted: Sequence[str], number: int) -> Figures:
    """Each that is wanted, for round `number`, from 1 on."""
    figures: Figures = {}
    for name in wanted:
        if number == 1 or not SCENARIOS[name].once:
            figures |= SCENARIOS[name].measure(system, plan)
    return figures


def rows(plan: Plan, wanted: Sequence[str]) -> Iterator[Row]:
    """Every line of the table, in order."""
    for name in wanted:
        yield from SCENARIOS[name].rows(plan)
