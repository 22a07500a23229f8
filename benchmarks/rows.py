"""Rows of the report: a label, its figure, and whether the ratio of two systems is meaningful."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

from benchmarks.figures import FAULTS, PERCENTILES, Figures
from benchmarks.saturation import FEW, limit, shares


class Row(NamedTuple):
    """Row of the report. It is left out if no system's figure is above `above`.

    `instead`: the figure to compare with if the other system lacks this one. `say`: a function that returns a text
    instead of the figure.
    """

    label: str
    key: str
    compared: bool = True
    instead: str = ""
    say: Callable[[Figures], str] | None = None
    above: float = -math.inf


def percentiles(label: str, key: str) -> Iterator[Row]:
    """Yield a row for each percentile."""
    yield from (Row(f"{label}: {p} ms", f"{key} {p}") for p in PERCENTILES)


def costs(label: str, key: str, *parts: str) -> Iterator[Row]:
    """Yield the cost of one notification, by part."""
    yield from (Row(f"{label}: µs CPU each, {part}", f"{key} cpu {part}") for part in parts)
    yield Row(f"{label}: WAL bytes each", f"{key} wal")


def saturated(label: str, key: str) -> Iterator[Row]:
    """Yield the use of the cores, the bottleneck, and the load of other programs."""
    yield Row(f"{label}: % of all cores busy", f"{key} busy", compared=False)
    yield Row(f"{label}: % of one core", f"{key} busy", compared=False, say=lambda figures: shares(figures, key))
    yield Row(f"{label}: limited by", f"{key} busy", compared=False, say=lambda figures: limit(figures, key))
    yield Row(f"{label}: % of the machine used by other programs", f"{key} others", compared=False, above=FEW)


def memory_rows(when: str, part: str) -> Iterator[Row]:
    """Yield the PSS of a process tree. `each`: one working process with its share of the master."""
    key = f"memory {when} {part}"
    yield Row(f"memory {when}, {part}: MB PSS, all processes", key)
    yield Row(f"memory {when}, {part}: processes", f"{key} processes", compared=False)
    yield Row(f"memory {when}, {part}: MB of the largest process", f"{key} largest")
    yield Row(f"memory {when}, {part}: MB of a working process, with its share of the master", f"{key} each")


def fault_rows(label: str, key: str) -> Iterator[Row]:
    """Yield rows for faults, which are shown only if there are any."""
    for fault, words in zip(FAULTS, ("answers other than 201", "missing mails", "duplicates"), strict=True):
        yield Row(f"{label}: {words}", f"{key} {fault}", compared=False, above=0)
