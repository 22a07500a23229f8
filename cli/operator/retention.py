"""`notify retention`: delete old notifications now, as workers do regularly. Uses the database directly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import click
import orjson

from cli.operator import caller, store
from cli.terminal import show
from db import acts, audit, policy
from db import retention as table
from db.policy import Step
from settings import Settings

COLUMNS = {"state": "STATE", "kept": "KEPT FOR"}


@click.command(short_help="Delete notifications that are past their retention time.")
@click.option("--dry-run", is_flag=True, help="Only print estimates of how many it would be.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def retention(as_json: bool, dry_run: bool) -> None:
    """Delete final notifications that are older than RETENTION_SENT, _FAILED or _CANCELLED (seconds).

    A table partition is dropped if all of its notifications are old enough; otherwise rows are deleted. This does
    not wait for RETENTION_LATENESS. Workers do the same every RETENTION_INTERVAL. Safe to run while they work, to
    stop, and to run again.
    """
    with store.opened() as chosen:
        asked, bounds = policy.of(chosen.retention)._replace(lateness=0), policy.bounds(chosen.retention)
        if dry_run:
            done = _sum(table.estimate(asked))
        else:
            done = _sum(_noted(table.look_after_blocks(asked, bounds)))
            done += _sum(table.sweep(asked, bounds))
    if as_json:
        click.echo(orjson.dumps({"dryRun": dry_run, "kept": dict(_kept(chosen)), **_shown(done)}).decode())
    else:
        click.echo(show.table(({"state": state, "kept": _span(age)} for state, age in _kept(chosen)), COLUMNS))
        click.echo(_sentence(done, dry_run))


def _noted(steps: Iterable[Step]) -> Iterator[Step]:
    for step in steps:
        if step.what == "dropped":
            audit.record(caller.by(), acts.block_dropped(step))
        yield step


def _sum(steps: Iterable[Step]) -> Counter[str]:
    done: Counter[str] = Counter()
    for step in steps:
        done[f"{step.what} rows"] += step.rows
        done[f"{step.what} blocks"] += step.block is not None
    return done


def _kept(chosen: Settings) -> list[tuple[str, float | None]]:
    ages = policy.of(chosen.retention).ages
    return [(state, ages.get(state)) for state in ("sent", "failed", "cancelled")]


def _shown(done: Counter[str]) -> dict[str, int]:
    return {
        "deletedRows": done["deleted rows"],
        "droppedBlocks": done["dropped blocks"],
        "droppedRows": done["dropped rows"],
        "contendedBlocks": done["contended blocks"],
    }


def _span(age: float | None) -> str:
    return "ever" if age is None else f"{age:g} s ({age / 86_400:.3g} days)"


def _sentence(done: Counter[str], dry_run: bool) -> str:
    would, about = ("would be ", "about ") if dry_run else ("", "")
    lines = [
        f"{would}deleted: {about}{done['deleted rows']:,} notifications",
        f"{would}dropped: {done['dropped blocks']:,} partitions with about {done['dropped rows']:,} notifications",
    ]
    if held := done["contended blocks"]:
        lines.append(f"not dropped, because the table was in use: {held:,} partitions; run this again")
    return "\n".join(line[0].upper() + line[1:] for line in lines)
