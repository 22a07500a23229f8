"""`notify migrate`: bring the database's tables to this version."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import click

import settings
from cli.terminal import show
from cli.terminal.failure import Misconfigured, Refused, Unreachable
from db import database, fitness, migrations
from db.migrations import Pending
from db.migrations.insistence import Limits
from runtime import logs

COLUMNS = {"name": "MIGRATION", "phase": "PHASE", "done": "STEPS DONE", "about": "WHAT IT DOES"}


@click.command(short_help="Bring the database to this version.")
@click.option("--after", is_flag=True, help="Also take away what only older versions need. None may be running.")
@click.option("--plan", is_flag=True, help="Only say what would be applied, and when.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def migrate(as_json: bool, plan: bool, after: bool) -> None:
    """Bring the database at DATABASE_URL to this version. Safe to run again, and by several at once.

    Run it before a new version is started: older programs go on working. Once none of them runs any more,
    run it with --after. A new database gets everything at once.
    """
    chosen = settings.load()
    logs.configure(chosen)
    database.bind(chosen)
    limits = Limits(chosen.migration_lock_timeout, chosen.migration_patience)
    with _told():
        if plan:
            _show_plan(migrations.pending(), as_json)
            return
        applied = migrations.finish(limits) if after else migrations.migrate(limits)
        _show_applied(applied, migrations.pending(), as_json)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (database.Contended, database.Unacceptable, migrations.OlderRunning) as error:
        raise Refused(str(error)) from error
    except fitness.Unfit as error:
        raise Misconfigured(str(error)) from error
    except database.Unavailable as error:
        said = fitness.advised(str(error))
        raise Unreachable(f"The database at DATABASE_URL cannot be used: {said}") from error


def _show_plan(pending: list[Pending], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"pending": [migration._asdict() for migration in pending]}))
    elif pending:
        shown = ({**m._asdict(), "done": f"{m.done} of {m.steps}"} for m in pending)
        click.echo(show.table(shown, COLUMNS))
    else:
        click.echo("nothing to apply")


def _show_applied(applied: list[str], waiting: list[Pending], as_json: bool) -> None:
    names = [migration.name for migration in waiting]
    if as_json:
        click.echo(json.dumps({"applied": applied, "waiting": names}))
        return
    click.echo(f"applied: {', '.join(applied)}" if applied else "nothing to apply")
    if names:
        click.echo(
            f"waiting: {', '.join(names)}: run `notify migrate --after` once no older version is running any more"
        )
