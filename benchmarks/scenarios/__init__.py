"""Scenarios: each is a module with `measure(system, plan)` and `rows(plan)`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from benchmarks.figures import Figures
from benchmarks.plan import Plan
from benchmarks.rows import Row
from benchmarks.scenarios import accept, batch, channels, drain, growth, latency, priorities, retries, scale
from benchmarks.system import System


class Scenario(NamedTuple):
    """Scenario. `measure` starts each part with an empty database, and returns no figures for unsuitable targets."""

    measure: Callable[[System, Plan], Figures]
    rows: Callable[[Plan], Iterator[Row]]
    once: bool = False  # run it in the first round only, because it takes long


SCENARIOS: Mapping[str, Scenario] = {
    "accept": Scenario(accept.measure, accept.rows),
    "batch": Scenario(batch.measure, batch.rows),
    "latency": Scenario(latency.measure, latency.rows),
    "drain": Scenario(drain.measure, drain.rows),
    "sms": Scenario(*channels.scenario("sms")),
    "push": Scenario(*channels.scenario("push")),
    "scale": Scenario(scale.measure, scale.rows),
    "retries": Scenario(retries.measure, retries.rows),
    "growth": Scenario(growth.measure, growth.rows),
    "priorities": Scenario(priorities.measure, priorities.rows, once=True),
}


def measure(system: System, plan: Plan, wanted: Sequence[str], number: int) -> Figures:
    """Run the wanted scenarios in round `number`, which starts at 1."""
    figures: Figures = {}
    for name in wanted:
        if number == 1 or not SCENARIOS[name].once:
            figures |= SCENARIOS[name].measure(system, plan)
    return figures


def rows(plan: Plan, wanted: Sequence[str]) -> Iterator[Row]:
    """Yield the rows of the report, in order."""
    for name in wanted:
        yield from SCENARIOS[name].rows(plan)
