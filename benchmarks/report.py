"""Write the figures as Markdown: one table with a column for each system, and their ratio if there are two."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.figures import Figures, faults
from benchmarks.rows import Row


def table(measured: Mapping[str, Figures], rows: Iterable[Row]) -> str:
    """Return the table. Rows without figures are left out."""
    names = list(measured)
    ratio = ["ratio"] if len(names) == 2 else []
    lines = [["measured", *names, *ratio], ["---", *["---:" for _ in (*names, *ratio)]]]
    for row in rows:
        if any(figures.get(row.key, -math.inf) > row.above for figures in measured.values()):
            cells = (_cell(row, figures) for figures in measured.values())
            lines.append([row.label, *cells, *(_ratio(row, *measured.values()) for _ in ratio)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def verdict(measured: Mapping[str, Figures]) -> str:
    """Return a line for each system with its faults, which must be 0, and the load of other programs."""
    lines = []
    for name, figures in measured.items():
        strangers = max((share for figure, share in figures.items() if figure.endswith(" others")), default=0.0)
        lines.append(
            f"{name}: answers other than 201, missing mails and duplicates: {faults(figures):g} in all. "
            f"Other programs used at most {strangers:.0f}% of the machine."
        )
    return "\n".join(lines)


def listing(floors: Mapping[str, float]) -> str:
    """Return the table of floors."""
    lines = ["| floor, measured alone | per second |", "| --- | ---: |"]
    return "\n".join([*lines, *(f"| {label} | {number(value)} |" for label, value in floors.items())])


def machine() -> str:
    """Return the date and the hardware and software of this machine."""
    cpu = next((line for line in _lines("/proc/cpuinfo") if line.startswith("model name")), ":unknown CPU")
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {cpu.partition(':')[2].strip()}, {os.cpu_count()} cores, "
        f"{memory:.0f} GB, Linux {platform.release()}, Python {platform.python_version()}"
    )


def number(value: float) -> str:
    """Return a number as text with about three digits."""
    digits = 0 if value >= 100 or value == int(value) else 1 if value >= 10 else 2
    return f"{value:,.{digits}f}"


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def _cell(row: Row, figures: Figures) -> str:
    if row.key not in figures:
        return "-"
    return row.say(figures) if row.say else number(figures[row.key])


def _ratio(row: Row, ours: Figures, other: Figures) -> str:
    if not row.compared or row.key not in ours:
        return ""
    if other.get(row.key):
        return f"{ours[row.key] / other[row.key]:.2f}"
    # The other system lacks this feature: compare with its alternative.
    instead = other.get(row.instead)
    return f"{ours[row.key] / instead:.2f} to its single ones" if instead else ""
