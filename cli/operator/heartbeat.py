"""`notify heartbeat`: check that the worker processes of this machine run. Reads the database directly."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import click

import settings
from cli.terminal.failure import Refused
from cli.up import running
from db import database, workers
from runtime import logs


@click.command(short_help="Check that the workers of this machine run.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def heartbeat(as_json: bool) -> None:
    """Exit with 0 if every worker process of this machine or container reported within WORKER_TIMEOUT.

    Exit with 1 if one did not, or if there is none. Exit with 0 if the database does not answer: the workers then
    hold outcomes in memory until they can record them, and a restart would lose these.
    """
    chosen = running.required(settings.load())
    logs.configure(chosen)
    database.bind(chosen.database)
    try:
        with database.connection():
            seen = workers.reporting(socket.gethostname(), chosen.delivery.worker_timeout)
    except database.Unavailable as error:
        click.echo(json.dumps({"database": "unavailable"}) if as_json else f"unknown: {error}")
        return
    finally:
        if not database.database.is_closed():
            database.database.close()
    alive = {pid: fresh for pid, fresh in seen.items() if Path(f"/proc/{pid}").exists()}
    if as_json:
        click.echo(json.dumps({"database": "ok", "workers": {str(pid): fresh for pid, fresh in alive.items()}}))
    if not alive:
        raise Refused(f"No worker process of {socket.gethostname()} runs: start one with `dramatiq actors -p 2 -t 8`")
    if silent := [str(pid) for pid, fresh in alive.items() if not fresh]:
        raise Refused(
            f"No report for {chosen.delivery.worker_timeout:g} seconds (WORKER_TIMEOUT): process {', '.join(silent)}"
        )
    if not as_json:
        click.echo(f"Worker processes that reported within {chosen.delivery.worker_timeout:g} seconds: {len(alive)}")
