"""Figures by name, as measured by a scenario, and their combination over several rounds."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

Figures = dict[str, float]
PERCENTILES = ("p50", "p95", "p99")
FAULTS = ("errors", "missing", "twice")  # the last word of a figure that must be 0


def named(key: str, figures: Figures) -> Figures:
    """Return the figures with a prefix for their part."""
    return {f"{key} {name}": value for name, value in figures.items()}


def percentiles(values: Sequence[float]) -> Figures:
    """Return p50, p95, p99 and the highest value; empty without values."""
    if not values:
        return {}
    ordered = sorted(values)
    found = {f"p{p}": ordered[len(ordered) * p // 100] for p in (50, 95, 99)}
    return found | {"slowest": ordered[-1]}


def is_fault(name: str) -> bool:
    """Return whether a figure counts wrong answers, missing mails or duplicates."""
    return name.rpartition(" ")[2] in FAULTS


def faults(figures: Figures) -> float:
    """Return the number of wrong answers, missing mails and duplicates."""
    return sum(value for name, value in figures.items() if is_fault(name))


def medians(rounds: Sequence[Figures]) -> Figures:
    """Return the median of each figure over the rounds that have it. Faults are summed."""
    names = dict.fromkeys(name for figures in rounds for name in figures)
    combined = {}
    for name in names:
        values = [figures[name] for figures in rounds if name in figures]
        combined[name] = sum(values) if is_fault(name) else statistics.median(values)
    return combined
