"""Figures by name, as a scenario measures them, and what several rounds of them come to."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

Figures = dict[str, float]
PERCENTILES = ("p50", "p95", "p99")
FAULTS = ("errors", "missing", "twice")  # the last word of a figure that must be 0


def named(key: str, figures: Figures) -> Figures:
    """The figures of one part, under its name."""
    return {f"{key} {name}": value for name, value in figures.items()}


def percentiles(values: Sequence[float]) -> Figures:
    """p50, p95, p99 and the highest; nothing of nothing."""
    if not values:
        return {}
    ordered = sorted(values)
    found = {f"p{p}": ordered[len(ordered) * p // 100] for p in (50, 95, 99)}
    return found | {"slowest": ordered[-1]}


def is_fault(name: str) -> bool:
    """Whether the figure counts wrong answers, or mails that are missing or came twice."""
    return name.rpartition(" ")[2] in FAULTS


def faults(figures: Figures) -> float:
    """How many answers were wrong and mails lost or doubled."""
    return sum(value for name, value in figures.items() if is_fault(name))


def medians(rounds: Sequence[Figures]) -> Figures:
    """The median of each figure over the rounds that have it; faults are summed, never averaged away."""
    names = dict.fromkeys(name for figures in rounds for name in figures)
    combined = {}
    for name in names:
        values = [figures[name] for figures in rounds if name in figures]
        combined[name] = sum(values) if is_fault(name) else statistics.median(values)
    return combined
