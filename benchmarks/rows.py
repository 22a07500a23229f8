"""The lines of the report: a label, the figure that stands there, and whether a ratio says anything."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

from benchmarks.figures import FAULTS, PERCENTILES, Figures
from benchmarks.saturation import FEW, limit, shares


class Row(NamedTuple):
    """One line, left out where nobody's figure is above `above`.

    `instead`: what the other is compared by where it has no such figure. `say`: words instead of the figure.
    """

    label: str
    key: str
    compared: bool = True
    instead: str = ""
    say: Callable[[Figures], str] | None = None
    above: float = -math.inf


def percentiles(label: str, key: str) -> Iterator[Row]:
    """Three lines."""
    yield from (Row(f"{label}: {p} ms", f"{key} {p}") for p in PERCENTILES)


def costs(label: str, key: str, *parts: str) -> Iterator[Row]:
    """What one notification costs, by part."""
    yield from (Row(f"{label}: µs CPU each, {part}", f"{key} cpu {part}") for part in parts)
    yield Row(f"{label}: WAL bytes each", f"{key} wal")


def saturated(label: str, key: str) -> Iterator[Row]:
    """What was full, and who else was on the machine."""
    yield Row(f"{label}: % of all cores busy", f"{key} busy", compared=False)
    yield Row(f"{label}: % of one core", f"{key} busy", compared=False, say=lambda figures: shares(figures, key))
    yield Row(f"{label}: limited by", f"{key} busy", compared=False, say=lambda figures: limit(figures, key))
    yield Row(f"{label}: % of the machine taken by strangers", f"{key} others", compared=False, above=FEW)


def memory_rows(when: str, part: str) -> Iterator[Row]:
    """PSS of one process tree. `each` is a working process with its share of the master above it."""
    key = f"memory {when} {part}"
    yield Row(f"memory {when}, {part}: MB PSS, all processes", key)
    yield Row(f"memory {when}, {part}: processes", f"{key} processes", compared=False)
    yield Row(f"memory {when}, {part}: MB of the largest process", f"{key} largest")
    yield Row(f"memory {when}, {part}: MB of a working process, with its share of the master", f"{key} each")


def fault_rows(label: str, key: str) -> Iterator[Row]:
    """Shown where there are any."""
    for fault, words in zip(FAULTS, ("answers not 201", "mails missing", "mails twice"), strict=True):
        yield Row(f"{label}: {words}", f"{key} {fault}", compared=False, above=0)
