"""Measure the cost of a block of work: CPU time by part, WAL, memory, and the load of other programs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.figures import Figures
from benchmarks.system import System

CORES = os.cpu_count() or 1


@contextmanager
def metered(system: System) -> Iterator[Figures]:
    """Yield figures that are filled in when the block ends: CPU seconds by part, bytes of WAL, percentages."""
    spent: Figures = {}
    before, wal, begun = system.cpu(), system.stack.wal_bytes(), time.monotonic()
    with system.waits() as waits:
        yield spent
    seconds = max(time.monotonic() - begun, 1e-9)
    spent["wal"] = system.stack.wal_bytes() - wal
    used = {part: after - before[part] for part, after in system.cpu().items()}
    spent |= {f"cpu {part}": used[part] for part in used if part not in ("busy", "others", "load")}
    spent |= {f"core {part}": used[part] / seconds * 100 for part in used if part not in ("busy", "others")}
    # The kernel's clock ticks and the measured time differ slightly.
    spent |= {part: min(max(used[part] / seconds / CORES * 100, 0.0), 100.0) for part in ("busy", "others")}
    spent |= waits.shares()


def each(spent: Figures, count: int) -> Figures:
    """Return the cost of one of `count` items: CPU time in microseconds, WAL in bytes. Percentages stay."""
    scale = {name: 1e6 if name.startswith("cpu") else 1.0 for name in spent if name.startswith(("cpu", "wal"))}
    return spent | {name: spent[name] * factor / max(count, 1) for name, factor in scale.items()}


def memory(system: System, when: str) -> Figures:
    """Return the PSS of each part in MB."""
    found: Figures = {}
    for part, sizes in system.memory().items():
        key, total = f"memory {when} {part}", sum(sizes)
        working = max(len(sizes) - 1, 1)  # all processes but the master; a single process counts itself
        found |= {key: total, f"{key} processes": len(sizes)}
        found |= {f"{key} largest": max(sizes, default=0.0), f"{key} each": total / working}
    return found
