"""`notify queues`: what waits in each lane, and how many bells Redis holds for it. Speaks to the servers themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click
import orjson

from cli.operator import store
from cli.operator.redis_queues import Doorbell
from cli.terminal import show
from cli.terminal.moments import span
from db import pauses
from db.models import CALLBACK, PRIORITIES
from db.pauses import Pause
from db.pulse import COUNTED, Lane, lanes

NOTHING = Lane(0, 0.0)
LANES = (*PRIORITIES, CALLBACK)
COLUMNS = {"lane": "LANE", "waiting": "WAITING", "oldest": "OLDEST DUE", "queued": "QUEUED", "inHand": "IN HAND"}


@click.command(short_help="Show what waits in each lane.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one line for each lane.")
def queues(as_json: bool) -> None:
    """Show what waits in each lane: in PostgreSQL, which is the truth, and as bells in Redis.

    WAITING counts what is pending, up to 10,000, also what is scheduled or paused. OLDEST DUE is for how
    long the oldest has waited that may be sent now. QUEUED are messages of up to 50 ids each, IN HAND
    those that workers have fetched.
    """
    with store.opened() as chosen:
        found, held = lanes(), pauses.all_in_force()
    doorbell = Doorbell(chosen)
    depths = doorbell.depths()
    rows = [row(lane, found.get(lane), depths.get(lane)) for lane in LANES]
    if as_json:
        for one in rows:
            click.echo(orjson.dumps(one).decode())
    else:
        click.echo(show.table(map(readable, rows), COLUMNS))
        for line in _held(held):
            click.echo(line)
    if doorbell.error:
        click.echo(show.plain(doorbell.error), err=True)


def row(name: str, found: Lane | None, depth: Any) -> dict[str, Any]:
    """A lane as programs see it; `depth` is None where Redis did not say."""
    lane = found or NOTHING
    return {
        "lane": name,
        "waiting": lane.waiting,
        "more": lane.waiting >= COUNTED,
        "oldestDue": round(lane.oldest_due, 3),
        "queued": depth and depth.waiting,
        "inHand": depth and depth.unfinished - depth.waiting,
    }


def readable(row: Mapping[str, Any]) -> dict[str, Any]:
    """The same as people see it."""
    unknown = {name: "unknown" for name in ("queued", "inHand") if row[name] is None}
    return {**row, **unknown, "waiting": counted(row["waiting"]), "oldest": span(row["oldestDue"])}


def counted(waiting: int) -> str:
    """Of a lane: where counting has ended, there may be more."""
    return f"{waiting:,}{'+' if waiting >= COUNTED else ''}"


def _held(held: list[Pause]) -> Iterator[str]:
    """What explains that something waits."""
    channels = [pause.name for pause in held if pause.kind == "channel"]
    others = len(held) - len(channels)
    if channels:
        yield f"\nPaused channels: {', '.join(channels)}; send again: notify resume --all"
    if others:
        yield f"\nClients that are paused or disabled: {others}"
