"""`notify migrate`: bring the database's tables to this version."""

from __future__ import annotations

import json

import click

import logs
import settings
from cli.failure import Unreachable
from db import database, migrations


@click.command(short_help="Bring the database to this version.")
@click.option("--json", "as_json", is_flag=True, help="Print what was applied as JSON.")
def migrate(as_json: bool) -> None:
    """Bring the database at DATABASE_URL to this version. Safe to run again, and by several at once."""
    chosen = settings.load()
    logs.configure(chosen)
    database.bind(chosen)
    try:
        applied = migrations.migrate()
    except database.Unavailable as error:
        raise Unreachable(f"The database at DATABASE_URL cannot be used: {error}") from error
    if as_json:
        click.echo(json.dumps({"applied": applied}))
    else:
        click.echo(f"applied: {', '.join(applied)}" if applied else "nothing to apply")
