"""`python -m benchmarks`: measure this project, and race it against any other system. Figures to stdout."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import floors, load, plan, report, scenarios
from benchmarks.figures import Figures, faults, medians
from benchmarks.plan import Plan
from benchmarks.stack import Stack
from benchmarks.system import System
from benchmarks.target import Target, ours, read

FLOORS = "floors"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--against", type=Path, action="append", default=[], metavar="TARGET.json")
    parser.add_argument("--without-ours", action="store_true", help="only what --against names")
    parser.add_argument("--runs", type=int, default=3, help="rounds; medians are reported (3)")
    every = (*scenarios.SCENARIOS, FLOORS)
    parser.add_argument(
        "--only", nargs="+", choices=every, default=every, help="of " + ", ".join(every), metavar="PART"
    )
    parser.add_argument("--threads", type=int, default=50, help="of each of our worker processes (32)")
    parser.add_argument("--out", type=Path, help="write the Markdown here too")
    plan.add_options(parser)
    return parser.parse_args()


def _race(systems: list[System], chosen: Plan, wanted: Sequence[str], runs: int) -> dict[str, Figures]:
    """Rounds in turn, so that a drifting machine drifts for all."""
    rounds: dict[str, list[Figures]] = {system.name: [] for system in systems}
    for number in range(1, runs + 1):
        for system in systems:
            print(f"# round {number} of {runs}: {system.name}", file=sys.stderr, flush=True)
            rounds[system.name].append(scenarios.measure(system, chosen, wanted, number))
    return {name: medians(figures) for name, figures in rounds.items()}


def _report(stack: Stack, measured: dict[str, Figures], chosen: Plan, options: argparse.Namespace) -> str:
    wanted = [name for name in scenarios.SCENARIOS if name in options.only]
    parts = [report.table(measured, scenarios.rows(chosen, wanted)), report.verdict(measured)] if wanted else []
    if FLOORS in options.only:
        parts.append(report.listing(floors.measure(stack, chosen.seconds)))
    parts.append(
        f"{report.machine()}; {stack.versions()}. Medians of {options.runs}; load by {load.tool()}; "
        "everything on this machine.\n"
    )
    return "\n\n".join(parts)


def _targets(options: argparse.Namespace) -> list[Target]:
    return [*([] if options.without_ours else [ours(options.threads)]), *map(read, options.against)]


def main() -> int:
    """0 where every POST was accepted and every mail arrived once; speed decides nothing."""
    options = _options()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit("stopped"))  # in order
    chosen, wanted = plan.plan_of(options), [name for name in scenarios.SCENARIOS if name in options.only]
    with tempfile.TemporaryDirectory(prefix="nb-", dir="/tmp") as folder:
        Path(folder).chmod(0o711)  # PostgreSQL may run as another user.
        with Stack(Path(folder)) as stack:
            systems = [System(target, stack, f"bench_{n}") for n, target in enumerate(_targets(options))]
            measured = _race(systems, chosen, wanted, options.runs if wanted else 0)
            text = _report(stack, measured, chosen, options)
    print(text)
    if options.out:
        options.out.write_text(text)
    return 1 if any(map(faults, measured.values())) else 0


if __name__ == "__main__":
    sys.exit(main())
