"""`notify retention`: remove what is past its time, once and now. Speaks to the database itself."""

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


@click.command(short_help="Remove what is past its time.")
@click.option("--dry-run", is_flag=True, help="Only say about how many it would be; nothing is counted.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def retention(as_json: bool, dry_run: bool) -> None:
    """Remove what has come to its end and is past its time: RETENTION_SENT, _FAILED and _CANCELLED, in seconds.

    Blocks of which all is past its time are dropped, other rows deleted, without RETENTION_LATENESS.
    Workers do the same every RETENTION_INTERVAL. Safe to run beside them, to stop, and to run again.
    """
    with store.opened() as chosen:
        asked, bounds = policy.of(chosen)._replace(lateness=0), policy.bounds(chosen)
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
            audit.note(caller.by(), acts.block_dropped(step))
        yield step


def _sum(steps: Iterable[Step]) -> Counter[str]:
    done: Counter[str] = Counter()
    for step in steps:
        done[f"{step.what} rows"] += step.rows
        done[f"{step.what} blocks"] += step.block is not None
    return done


def _kept(chosen: Settings) -> list[tuple[str, float | None]]:
    ages = policy.of(chosen).ages
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
        f"{would}deleted: {about}{done['deleted rows']:,}",
        f"{would}dropped: {done['dropped blocks']:,} blocks with about {done['dropped rows']:,}",
    ]
    if held := done["contended blocks"]:
        lines.append(f"not dropped, because somebody was using the table: {held:,} blocks; run it again")
    return "\n".join(line[0].upper() + line[1:] for line in lines)
