"""How values are written for people: times, spans, numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))
LONGEST = 120  # characters of a text in a table


def ago(then: datetime, now: datetime) -> str:
    """How long ago, or in how long."""
    seconds = (now - then).total_seconds()
    return f"{span(seconds)} ago" if seconds >= 0 else f"in {span(-seconds)}"


def span(seconds: float) -> str:
    """A length of time, in its largest two units at most."""
    if seconds < 10:
        return f"{seconds:.1f} s" if seconds >= 0.05 else "0 s"
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}" if seconds < 10 * size else f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def milliseconds(value: float) -> str:
    """How long something took."""
    return f"{value:.0f} ms" if value < 10_000 else span(value / 1000)


def count(number: int) -> str:
    """A whole number, its thousands apart."""
    return f"{number:,}".replace(",", "\u202f")


def rate(number: float | None) -> str:
    """So many each second; a dash where nobody knows."""
    if number is None:
        return "-"
    return count(round(number)) if number >= 100 else f"{number:.1f}"


def size(octets: int) -> str:
    """The size of a file."""
    if octets < 1_000:
        return f"{octets} B"
    return f"{octets / 1_000:.0f} kB" if octets < 1_000_000 else f"{octets / 1_000_000:.1f} MB"


def clock(moment: datetime) -> str:
    """A time in UTC, to the second."""
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def exact(moment: datetime) -> str:
    """A time as RFC 3339 has it."""
    return moment.isoformat().replace("+00:00", "Z")


def shortened(text: str) -> str:
    """A text as it fits in a table."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def words(name: str) -> str:
    """A name of a column or a field as words."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", name).lower()


def choices(values: Sequence[str]) -> list[tuple[str, str]]:
    """For a field of a search: any, or one of these."""
    return [("", "any"), *((value, value) for value in values)]


_ALL = (ago, span, milliseconds, count, rate, size, clock, exact, shortened, words)
FILTERS: dict[str, Callable[..., Any]] = {function.__name__: function for function in _ALL}
