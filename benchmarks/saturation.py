"""Name the bottleneck of a measurement."""

from __future__ import annotations

from benchmarks.figures import Figures

FULL = 95.0  # percent
OFTEN = 40.0  # percent of the samples
FEW = 3.0  # percent of the machine; if other programs used more, the figures are not reliable
# Programs with a single thread, which are limited by one core.
SINGLE = {"load": "the load generator", "sink": "the SMTP sink", "redis": "Redis"}


def limit(figures: Figures, key: str) -> str:
    """Return the bottleneck: the CPU if all cores are busy, else a part whose only core is busy, else a wait."""
    if figures[f"{key} busy"] >= FULL:
        others = figures.get(f"{key} others", 0.0)
        return f"CPU, {others:.0f}% of it by other programs" if others > FEW else "CPU"
    for part, name in SINGLE.items():
        if figures.get(f"{key} core {part}", 0) >= FULL:
            return f"one core of {name}"
    waits = _starting(figures, f"{key} waits ")
    event, share = max(waits.items(), key=lambda item: item[1], default=("", 0.0))
    if share >= OFTEN:
        return f"waiting: PostgreSQL for {event} ({share:.0f}% of samples)"
    if figures.get(f"{key} smtp ms"):
        return "waiting: the mail server"
    often = f"; PostgreSQL mostly for {event}, {share:.0f}% of samples" if event else ""
    return f"waiting: round trips{often}"


def shares(figures: Figures, key: str) -> str:
    """Return the share of one core that each part used, the largest first, as text."""
    cores = sorted(_starting(figures, f"{key} core ").items(), key=lambda item: -item[1])
    return ", ".join(f"{part} {share:.0f}" for part, share in cores if share >= 1)


def _starting(figures: Figures, mark: str) -> Figures:
    return {name.removeprefix(mark): value for name, value in figures.items() if name.startswith(mark)}
