"""`notify heartbeat`: whether the workers of this machine live. Speaks to the database itself."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import click

import settings
from cli.terminal.failure import Refused
from db import database, workers
from runtime import logs


@click.command(short_help="Tell whether the workers of this machine live.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def heartbeat(as_json: bool) -> None:
    """Exit with 0 if every worker process of this machine, or container, was seen within WORKER_TIMEOUT.

    Exit with 1 if one was not, or if there is none. Where the database does not answer this ends with 0: the
    workers wait for it to record what they have sent, and who kills them makes them forget it.
    """
    chosen = settings.load()
    logs.configure(chosen)
    database.bind(chosen)
    try:
        with database.connection():
            seen = workers.reporting(socket.gethostname(), chosen.worker_timeout)
    except database.Unavailable as error:
        click.echo(json.dumps({"database": "unavailable"}) if as_json else f"nothing is known: {error}")
        return
    finally:
        if not database.database.is_closed():
            database.database.close()
    running = {pid: fresh for pid, fresh in seen.items() if Path(f"/proc/{pid}").exists()}
    if as_json:
        click.echo(json.dumps({"database": "ok", "workers": {str(pid): fresh for pid, fresh in running.items()}}))
    if not running:
        raise Refused(f"No worker process of {socket.gethostname()} has reported and runs")
    if silent := [str(pid) for pid, fresh in running.items() if not fresh]:
        raise Refused(f"Not seen for {chosen.worker_timeout:g} seconds: process {', '.join(silent)}")
    if not as_json:
        click.echo(f"{len(running)} worker processes were seen within {chosen.worker_timeout:g} seconds")
