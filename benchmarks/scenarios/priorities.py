"""Priorities: run benchmarks.priorities as a scenario. Our system only."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

from benchmarks.figures import PERCENTILES, Figures, named
from benchmarks.plan import Plan
from benchmarks.rows import Row
from benchmarks.system import System
from benchmarks.target import ROOT


def measure(system: System, plan: Plan) -> Figures:
    """Run it in a separate process with its own servers, because it changes their settings."""
    if not system.target.ours:
        return {}
    words = [sys.executable, "-m", "benchmarks.priorities", "--json", "--backlog", str(plan.priorities_backlog)]
    said = subprocess.run(words, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True, timeout=600).stdout
    figures: Figures = {}
    for key, found in json.loads(said.splitlines()[-1]).items():
        figures |= named(f"priorities {key}", found)
    return figures


def rows(plan: Plan) -> Iterator[Row]:
    """Yield rows for the delays without other load and during a backlog."""
    crowd = f"{plan.priorities_backlog:,}"
    labels = {
        "high": "`high`, no other load",
        "high-beside": f"`high`, {crowd} in the client's own `bulk`",
        "normal": "`normal`, no other load",
        "normal-beside": f"`normal`, {crowd} in another client's `normal`",
    }
    for key, label in labels.items():
        yield from (Row(f"{label}: {p} ms to mail", f"priorities {key} {p}") for p in PERCENTILES)
        if key.endswith("beside"):
            yield Row(f"{label}: backlog left", f"priorities {key} left", compared=False)
