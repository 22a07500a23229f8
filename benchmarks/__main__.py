"""`python -m benchmarks`: measure this project, and race it against any other system. Figures to stdout."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import load, report
from benchmarks.scenarios import Figures, Plan, measure, medians
from benchmarks.stack import Stack
from benchmarks.system import System
from benchmarks.target import ROOT, Target, ours, read


def _options() -> argparse.Namespace:
    plan = Plan()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--against", type=Path, action="append", default=[], metavar="TARGET.json")
    parser.add_argument("--without-ours", action="store_true", help="only what --against names")
    parser.add_argument("--runs", type=int, default=3, help="rounds; medians are reported (3)")
    parser.add_argument("--only", nargs="+", choices=("accept", "latency", "drain"), default=[])
    parser.add_argument("--connections", type=int, nargs="+", default=plan.connections)
    parser.add_argument("--seconds", type=int, default=plan.accept_seconds, help="of each accept")
    parser.add_argument("--backlog", type=int, default=plan.backlog, help="mails to drain")
    parser.add_argument("--smtp-ms", type=float, nargs="+", default=plan.smtp_ms, help="per round trip")
    parser.add_argument("--threads", type=int, default=32, help="of each of our two worker processes")
    parser.add_argument("--out", type=Path, help="write the Markdown here too")
    return parser.parse_args()


def _plan(options: argparse.Namespace) -> Plan:
    wanted = options.only or ("accept", "latency", "drain")
    return Plan(
        connections=tuple(options.connections) if "accept" in wanted else (),
        latency_seconds=Plan().latency_seconds if "latency" in wanted else 0,
        smtp_ms=tuple(options.smtp_ms) if "drain" in wanted else (),
        accept_seconds=options.seconds,
        backlog=options.backlog,
    )


def _race(targets: list[Target], stack: Stack, plan: Plan, runs: int) -> dict[str, Figures]:
    """Rounds in turn, so that a drifting machine drifts for all."""
    systems = [System(target, stack, f"bench_{number}") for number, target in enumerate(targets)]
    rounds: dict[str, list[Figures]] = {system.name: [] for system in systems}
    for number in range(runs):
        for system in systems:
            print(f"# round {number + 1} of {runs}: {system.name}", file=sys.stderr, flush=True)
            rounds[system.name].append(measure(system, plan))
    return {name: medians(figures) for name, figures in rounds.items()}


def _sink_limit(stack: Stack) -> int:
    flood = [sys.executable, "-m", "benchmarks.flood", str(stack.smtp_port)]
    return int(subprocess.run(flood, cwd=ROOT, check=True, capture_output=True, text=True, timeout=90).stdout)


def main() -> int:
    """0 where every POST was accepted and every mail arrived once; speed decides nothing."""
    options = _options()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit("stopped"))  # in order
    plan = _plan(options)
    targets = [] if options.without_ours else [ours(options.threads)]
    targets += map(read, options.against)
    with tempfile.TemporaryDirectory(prefix="nb-", dir="/tmp") as folder:
        Path(folder).chmod(0o711)  # PostgreSQL may run as another user.
        with Stack(Path(folder)) as stack:
            limit = _sink_limit(stack)
            measured = _race(targets, stack, plan, options.runs)
            text = (
                f"{report.table(measured, plan)}\n\n"
                f"{report.machine()}; {stack.versions()}. Medians of {options.runs}; load by {load.tool()}; "
                f"everything on this machine. The sink alone takes {limit:,} mails/s.\n"
            )
    print(text)
    if options.out:
        options.out.write_text(text)
    return 1 if any(map(report.faults, measured.values())) else 0


if __name__ == "__main__":
    sys.exit(main())
