"""`notify migrate`: apply the migrations of this version to the database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import click

import settings
from cli.terminal import show
from cli.terminal.failure import Late, Misconfigured, Refused, Unreachable
from cli.up import running
from db import database, fitness, migrations
from db.migrations import Pending
from db.migrations.insistence import Limits
from runtime import logs

COLUMNS = {"name": "MIGRATION", "phase": "PHASE", "done": "STEPS DONE", "about": "DESCRIPTION"}


@click.command(short_help="Apply the migrations of this version to the database.")
@click.option("--after", is_flag=True, help="Also remove what only older versions need. None of them may be running.")
@click.option("--plan", is_flag=True, help="Only show the migrations that would be applied, and their phase.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def migrate(as_json: bool, plan: bool, after: bool) -> None:
    """Apply the migrations of this version to the database. Safe to repeat, and to run several times at once.

    Run it before you start a new version: older programs go on working. Once no older program runs any more,
    run it with --after. A new database gets all migrations at once.
    """
    chosen = running.required(settings.load())
    logs.configure(chosen)
    database.bind(chosen.database)
    limits = Limits(time_limit=chosen.database.migration_patience)
    with _as_exit_codes():
        if plan:
            _show_plan(migrations.pending(), as_json)
            return
        applied = migrations.finish(limits) if after else migrations.migrate(limits)
        _show_applied(applied, migrations.pending(), as_json)


@contextmanager
def _as_exit_codes() -> Iterator[None]:
    try:
        yield
    except database.Contended as error:
        raise Late(str(error)) from error
    except (database.Unacceptable, migrations.OlderRunning) as error:
        raise Refused(str(error)) from error
    except fitness.Unusable as error:
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
        click.echo(f"waiting: {', '.join(names)}: run `notify migrate --after` once no older version runs any more")
