"""`notify queues`: pending notifications and wake-up messages by queue. Uses PostgreSQL and Redis directly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click
import orjson

from actors.queue.priorities import in_use
from cli.operator import store
from cli.operator.redis_queues import RedisQueues
from cli.terminal import show
from cli.terminal.moments import span
from db import pauses
from db.live_stats import COUNTED, PriorityStats, priorities
from db.pauses import Pause

NOTHING = PriorityStats(0, 0.0)
COLUMNS = {"queue": "QUEUE", "waiting": "PENDING", "oldest": "OLDEST DUE", "queued": "MESSAGES", "inHand": "FETCHED"}


@click.command(short_help="Show the pending notifications of each queue.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one line for each queue.")
def queues(as_json: bool) -> None:
    """Show the pending notifications in PostgreSQL and the wake-up messages in Redis, for each queue.

    There is a queue for each priority and one for callbacks, and those of further channels, such as sms.high, while
    they are in use. PENDING includes scheduled and paused notifications
    and is counted up to 10,000. OLDEST DUE is how long the oldest notification that may be sent now has waited.
    MESSAGES are wake-up messages in Redis, with up to 50 ids each; FETCHED are those that workers have taken.
    """
    with store.opened() as chosen:
        found, held = priorities(), pauses.all_in_force()
    redis_queues = RedisQueues(chosen)
    depths = redis_queues.depths()
    rows = [row(name, found.get(name), depths.get(name)) for name in in_use(found, depths)]
    if as_json:
        for one in rows:
            click.echo(orjson.dumps(one).decode())
    else:
        click.echo(show.table(map(readable, rows), COLUMNS))
        for line in _held(held):
            click.echo(line)
    if redis_queues.error:
        click.echo(show.plain(redis_queues.error), err=True)


def row(name: str, found: PriorityStats | None, depth: Any) -> dict[str, Any]:
    """Return a queue as a row for JSON. `depth` is None where Redis does not answer."""
    priority = found or NOTHING
    return {
        "queue": name,
        "waiting": priority.waiting,
        "more": priority.waiting >= COUNTED,
        "oldestDue": round(priority.oldest_due, 3),
        "queued": depth and depth.waiting,
        "inHand": depth and depth.unfinished - depth.waiting,
    }


def readable(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with its values as people read them."""
    unknown = {name: "unknown" for name in ("queued", "inHand") if row[name] is None}
    return {**row, **unknown, "waiting": counted(row["waiting"]), "oldest": span(row["oldestDue"])}


def counted(waiting: int) -> str:
    """Return the number of pending notifications as text, with a + where counting stopped."""
    return f"{waiting:,}{'+' if waiting >= COUNTED else ''}"


def _held(held: list[Pause]) -> Iterator[str]:
    """Yield the pauses in force, which explain why notifications wait."""
    channels = [pause.name for pause in held if pause.kind == "channel"]
    others = len(held) - len(channels)
    if channels:
        yield f"\nPaused channels: {', '.join(channels)}; to send again: notify resume --all"
    if others:
        yield f"\nPaused or disabled clients: {others}"
