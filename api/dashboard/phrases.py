"""Format times, durations and numbers for people."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from api.http.times import exact

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))
LONGEST = 120  # characters of a text in a table cell


def ago(then: datetime, now: datetime) -> str:
    """Return the distance from now, as "2.0 min ago" or "in 5 s"."""
    seconds = (now - then).total_seconds()
    return f"{span(seconds)} ago" if seconds >= 0 else f"in {span(-seconds)}"


def span(seconds: float) -> str:
    """Return a duration in its largest unit, as "1.5 h"."""
    if seconds < 10:
        return f"{seconds:.1f} s" if seconds >= 0.05 else "0 s"
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}" if seconds < 10 * size else f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def milliseconds(value: float) -> str:
    """Return a duration in milliseconds, or from 10 seconds on in a larger unit."""
    return f"{value:.0f} ms" if value < 10_000 else span(value / 1000)


def count(number: int) -> str:
    """Return a whole number with a thin space between thousands."""
    return f"{number:,}".replace(",", "\u202f")


def rate(number: float | None) -> str:
    """Return a number per second; a dash if it is not known."""
    if number is None:
        return "-"
    return count(round(number)) if number >= 100 else f"{number:.1f}"


def size(octets: int) -> str:
    """Return the size of a file in B, kB or MB (powers of 1,000)."""
    if octets < 1_000:
        return f"{octets} B"
    return f"{octets / 1_000:.0f} kB" if octets < 1_000_000 else f"{octets / 1_000_000:.1f} MB"


def clock(moment: datetime) -> str:
    """Return a UTC time to the second."""
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def shortened(text: str) -> str:
    """Return a text cut to LONGEST characters."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def words(name: str) -> str:
    """Return a column name or camelCase field name as lower-case words."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", name).lower()


def choices(values: Sequence[str]) -> list[tuple[str, str]]:
    """Return the options of a search field: any value, or one of these."""
    return [("", "any"), *((value, value) for value in values)]


_ALL = (ago, span, milliseconds, count, rate, size, clock, exact, shortened, words)
FILTERS: dict[str, Callable[..., Any]] = {function.__name__: function for function in _ALL}
