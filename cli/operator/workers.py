"""`notify workers`: worker processes and what each has done. Uses the database directly."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from cli.operator import store
from cli.terminal import show
from cli.terminal.moments import span
from db.live_stats import Worker
from db.live_stats import workers as found

COUNTERS = ("sent", "failed", "retried", "rescued")
COLUMNS = {
    **{"id": "ID", "host": "HOST", "pid": "PID", "threads": "THREADS", "state": "STATE", "up": "UPTIME"},
    **{name: name.upper() for name in COUNTERS},
}


@click.command(short_help="Show the worker processes.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one line for each process.")
def workers(as_json: bool) -> None:
    """Show the worker processes, oldest first, and what each has done since it started.

    A worker is alive if its last heartbeat is younger than WORKER_TIMEOUT. The others rescue the notifications of
    a silent worker, which disappears from this list after a day.
    """
    with store.opened() as chosen:
        now = found(chosen.delivery.worker_timeout)
    if as_json:
        for worker in now:
            store.say(worker._asdict())
    else:
        click.echo(show.table(map(readable, now), COLUMNS))
        if not any(worker.alive for worker in now):
            click.echo("\nNo worker is alive; to start some: dramatiq actors -p 2 -t 8")


def readable(worker: Worker) -> dict[str, Any]:
    """Return a worker as a row of the table."""
    silent = worker.silent_for
    return {
        **worker._asdict(),
        "id": str(worker.id)[:8],
        "state": "alive" if worker.alive else f"silent {span(silent)}",
        # By the clock of this machine, which is exact enough here.
        "up": span(max(0.0, (datetime.now(UTC) - worker.started_at).total_seconds())),
        **{name: f"{worker.counters.get(name, 0):,}" for name in COUNTERS},
    }
