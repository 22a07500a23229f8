"""Geometry of the bars of a chart, which a page draws as SVG without scripts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from db.history import Counts
from db.history.classes import BOUNDS, LONGEST

HEIGHT = 100  # of a chart, in units of its own
STEP = 10  # from one bar to the next
WIDTH = 8  # of a bar
LEAST = 1.5  # height of a part that is not zero, so that it can be seen
OUTCOMES = ("sent", "cancelled", "failed")  # from the bottom


class Part(NamedTuple):
    """A rectangle of a bar. `kind` decides its colour."""

    kind: str
    x: int
    y: float
    height: float


class Bar(NamedTuple):
    """The parts of a bar, and the moment and the counts that they show."""

    at: datetime
    counts: Counts
    parts: list[Part]


class Chart(NamedTuple):
    """A chart of `width`. `top`: the value at its upper edge."""

    width: int
    top: float
    bars: list[Bar]


def of_outcomes(points: Sequence[tuple[datetime, Counts]]) -> Chart:
    """Return a chart in which the outcomes of each point are stacked."""
    top = max((sum(counts[:3]) for _, counts in points), default=0)
    bars = [Bar(at, counts, _stacked(place, counts, max(1, top))) for place, (at, counts) in enumerate(points)]
    return Chart(STEP * len(bars), top, bars)


def of_times(points: Sequence[tuple[datetime, Counts]]) -> Chart:
    """Return a chart of the 95th percentiles. Each class of times is one step higher, as on a logarithmic scale."""
    heights = [0 if counts.p95 is None else _level(counts.p95) for _, counts in points]
    most = max([*heights, 1])
    bars = [
        Bar(at, counts, [Part("time", _x(place), HEIGHT - HEIGHT * height / most, HEIGHT * height / most)])
        for place, ((at, counts), height) in enumerate(zip(points, heights, strict=True))
    ]
    return Chart(STEP * len(bars), (*BOUNDS, LONGEST)[most - 1], bars)


def _level(seconds: float) -> int:
    return 1 + sum(bound < seconds for bound in BOUNDS)


def _stacked(place: int, counts: Counts, top: int) -> list[Part]:
    parts, y = [], float(HEIGHT)
    for kind in OUTCOMES:
        if number := getattr(counts, kind):
            height = min(max(LEAST, HEIGHT * number / top), y)
            y -= height
            parts.append(Part(kind, _x(place), round(y, 2), round(height, 2)))
    return parts


def _x(place: int) -> int:
    return place * STEP + (STEP - WIDTH) // 2
