"""`python -m benchmarks`: measure this project, and race it against other systems. Write the figures to stdout."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import floors, load, plan, report, scenarios
from benchmarks.existing import OWN_SERVERS, Existing, RefusedError
from benchmarks.figures import Figures, faults, medians
from benchmarks.plan import Plan
from benchmarks.stack import Ground, Stack
from benchmarks.system import System
from benchmarks.target import Target, ours, read, signing

FLOORS = "floors"


def options_of(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line. End the program if its options exclude each other."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--against", type=Path, action="append", default=[], metavar="TARGET.json")
    parser.add_argument("--without-ours", action="store_true", help="measure only the systems of --against")
    parser.add_argument("--signed", action="store_true", help="race this project against itself with DKIM")
    parser.add_argument("--runs", type=int, default=3, help="rounds; medians are reported (3)")
    every = (*scenarios.SCENARIOS, FLOORS)
    parser.add_argument("--only", nargs="+", choices=every, default=None, help="of " + ", ".join(every), metavar="PART")
    lent = "measure on existing servers, given with both URLs: an EMPTY "
    parser.add_argument("--database-url", metavar="URL", help=f"{lent}database, which is emptied again")
    parser.add_argument("--redis-url", metavar="URL", help=f"{lent}Redis database, which is emptied again")
    parser.add_argument("--threads", type=int, default=8, help="threads of each of our worker processes (8)")
    parser.add_argument(
        "--stock", action="store_true", help="start the distribution's PostgreSQL and Redis with their default settings"
    )
    parser.add_argument("--out", type=Path, help="write the Markdown here too")
    plan.add_options(parser)
    options = parser.parse_args(words)
    urls = (options.database_url, options.redis_url)
    if urls != (None, None) and not all(urls):
        parser.error("--database-url and --redis-url belong together: give both or neither")
    if options.database_url and options.stock:
        parser.error("--stock starts its own servers: remove --database-url and --redis-url")
    if options.database_url and options.against:
        parser.error("--against races on the benchmark's own servers: remove --database-url and --redis-url")
    barred = OWN_SERVERS if options.database_url else ()
    if refused := [part for part in options.only or () if part in barred]:
        parser.error(f"{refused[0]} needs its own servers: remove --database-url, or give other parts in --only")
    options.only = options.only or [part for part in every if part not in barred]
    return options


def _race(systems: list[System], chosen: Plan, wanted: Sequence[str], runs: int) -> dict[str, Figures]:
    """Measure the systems alternately in each round, so that changes of the machine's speed affect all of them."""
    rounds: dict[str, list[Figures]] = {system.name: [] for system in systems}
    for number in range(1, runs + 1):
        for system in systems:
            print(f"# round {number} of {runs}: {system.name}", file=sys.stderr, flush=True)
            rounds[system.name].append(scenarios.measure(system, chosen, wanted, number))
    return {name: medians(figures) for name, figures in rounds.items()}


def _report(stack: Ground, measured: dict[str, Figures], chosen: Plan, options: argparse.Namespace) -> str:
    wanted = [name for name in scenarios.SCENARIOS if name in options.only]
    parts = [report.table(measured, scenarios.rows(chosen, wanted)), report.verdict(measured)] if wanted else []
    if FLOORS in options.only and isinstance(stack, Stack):
        parts.append(report.listing(floors.measure(stack, chosen.seconds)))
    parts.append(
        f"{report.machine()}; {stack.versions()}. Medians of {options.runs}; load by {load.tool()}; "
        f"everything {'except perhaps the servers ' if options.database_url else ''}on this machine.\n"
    )
    return "\n\n".join(parts)


def _ground(options: argparse.Namespace, folder: Path) -> Ground:
    if options.database_url:
        return Existing(folder, options.database_url, options.redis_url)
    return Stack(folder, stock=options.stock)


def _targets(options: argparse.Namespace) -> list[Target]:
    own = [] if options.without_ours else [ours(options.threads)]
    signed = [signing(options.threads)] if options.signed else []
    return [*own, *signed, *map(read, options.against)]


def main() -> int:
    """Return 0 if every POST was accepted and every mail arrived once, whatever the speed; else 1."""
    options = options_of()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit("stopped"))  # stops all processes in order
    chosen, wanted = plan.plan_of(options), [name for name in scenarios.SCENARIOS if name in options.only]
    with tempfile.TemporaryDirectory(prefix="nb-", dir="/tmp") as folder:
        Path(folder).chmod(0o711)  # PostgreSQL may run as another user.
        try:
            with _ground(options, Path(folder)) as stack:
                systems = [System(target, stack, f"bench_{n}") for n, target in enumerate(_targets(options))]
                measured = _race(systems, chosen, wanted, options.runs if wanted else 0)
                text = _report(stack, measured, chosen, options)
        except RefusedError as error:
            print(error, file=sys.stderr)
            return 2
    print(text)
    if options.out:
        options.out.write_text(text)
    return 1 if any(map(faults, measured.values())) else 0


if __name__ == "__main__":
    sys.exit(main())
