"""`python -m benchmarks.faults`: cause each fault at full size, and write its effects as Markdown to stdout."""

from __future__ import annotations

import argparse
import os
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import fault_channels, fault_mail, fault_providers, fault_stores, fault_workers, report
from benchmarks.channels import CHANNELS
from benchmarks.fault_count import Count, count
from benchmarks.fault_rows import ROWS, Row
from benchmarks.fault_scene import SETTINGS, Ground, Scene, scene
from benchmarks.processes import OverdueError
from tests import embedded, environment
from tests.system import QUICK

__all__ = [
    "fault_channels",
    "fault_mail",
    "fault_providers",
    "fault_stores",
    "fault_workers",
]  # Imported because they register rows.
COLUMNS = (
    "fault", "accepted", "delivered", "lost", "doubled", "stuck", "failed", "attempts burnt",
    "s to first mail", "s to the end", "wake-ups each", "notes",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of one row."""

    row: Row
    count: Count
    scene: Scene

    @property
    def kept(self) -> bool:
        """True if the promise was kept."""
        c = self.count
        return (
            not self.scene.broken
            and c.lost == c.stuck == 0
            and c.doubled <= self.row.doubled
            and c.failed <= self.row.failed
        )

    def cells(self) -> list[str]:
        """Return the cells of the row."""
        c, s = self.count, self.scene
        numbers = (c.accepted, c.delivered, c.lost, c.doubled, c.stuck, c.failed, c.burnt)
        seconds = ("-" if t is None else f"{t:.1f}" for t in (s.recovered, s.ended))
        wake_ups = "" if s.wake_ups is None else f"{s.wake_ups:.2f}"
        fault = self.row.fault if self.kept else " ".join(["**BROKEN**", self.row.fault, *s.broken])
        return [fault, *(f"{n:,}" for n in numbers), *seconds, wake_ups, s.note]


def run(row: Row, ground: Ground) -> Outcome:
    """Cause one fault on an empty database, and return its result."""
    with scene(ground, row.name, row.size, scripted=row.scripted, channel=row.channel, **row.settings) as at:
        try:
            row.act(at)
        except (AssertionError, OverdueError) as error:
            at.broken.append(str(error).partition("\n")[0])
        at.finish()
        return Outcome(row, count(at.accepted, at.arrivals, at.system.sql), at)


def table(outcomes: list[Outcome]) -> str:
    """Return the table as Markdown."""
    lines = [list(COLUMNS), ["---", *["---:"] * (len(COLUMNS) - 2), "---"]]
    lines += [outcome.cells() for outcome in outcomes]
    settings = {**{name.lower(): value for name, value in QUICK.items()}, **SETTINGS}
    times = ", ".join(f"{name.upper()} {value}" for name, value in settings.items())
    return (
        "\n".join("| " + " | ".join(line) + " |" for line in lines)
        + f"\n\n{report.machine()}. 2 API processes and mostly 2 worker processes of 8 threads; "
        f"shortened settings, so that retries take seconds instead of minutes: {times}.\n"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--channel", choices=["email", *CHANNELS], default="email", help="what is sent (email)")
    parser.add_argument("--large", action="store_true", help="cause those that take minutes, and no others")
    parser.add_argument("--only", nargs="+", choices=sorted({row.name for row in ROWS}), default=[])
    parser.add_argument("--size", type=int, help="notifications in each row, instead of the row's own number")
    parser.add_argument("--out", type=Path, help="write the Markdown here too")
    return parser.parse_args()


def main() -> int:
    """Return 0 if every promise was kept, else 1."""
    options = _options()
    channel = "" if options.channel == "email" else options.channel
    rows = [row for row in ROWS if (row.channel, row.large) == (channel, options.large)]
    rows = [row for row in rows if not options.only or row.name in options.only]
    if options.size:
        rows = [replace(row, size=options.size) if row.size > 1 else row for row in rows]
    kept = environment.cleared()
    os.environ.clear()
    os.environ.update(kept)
    outcomes = []
    with ExitStack() as lasting:
        folder = lasting.enter_context(embedded.short_directory())
        ground = Ground(folder, lasting)
        for row in rows:
            begun = time.monotonic()
            outcomes.append(run(row, ground))
            took = time.monotonic() - begun
            print(f"# {took:4.0f} s  {row.name}: {' | '.join(outcomes[-1].cells())}", file=sys.stderr, flush=True)
            if not outcomes[-1].kept:
                print(outcomes[-1].scene.system.logs(), file=sys.stderr, flush=True)
    text = table(outcomes)
    print(text)
    if options.out:
        options.out.write_text(text)
    return 0 if all(outcome.kept for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
