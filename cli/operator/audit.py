"""`notify audit`: the audit log, which records who changed what. Uses the database directly."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable
from typing import Any

import click
import orjson

from api.http import pagination
from api.resources.documents import act
from cli.operator import store
from cli.terminal import show
from cli.terminal.moments import Moment
from db import audit as table
from db.database import connection

COLUMNS = {
    "id": "ID",
    "at": "TIME",
    "act": "ACTION",
    "target": "TARGET",
    "client_id": "CLIENT",
    "by": "ACTOR",
    "detail": "DETAIL",
}
PAUSE = 1.0  # seconds between two queries with --follow


def _parsed(_context: click.Context, parameter: click.Parameter, raw: str | None) -> Any:
    if raw is None:
        return None
    try:
        return pagination.time(raw)
    except pagination.Wrong as why:
        raise click.BadParameter(str(why), param=parameter) from None


@click.command(short_help="Show the audit log: who changed what.")
@click.option("--client", help="Only records that concern the client with this name.")
@click.option("--act", help="Only records of this action, such as key.created.")
@click.option("--actor", type=click.Choice(table.ACTORS), help="Only records of this kind of actor.")
@click.option(
    "--key", "key_id", type=click.IntRange(min=1, max=2**63 - 1), help="Only actions of the API key with this id."
)
@click.option(
    "--from",
    "created_from",
    type=Moment(ago=True),
    callback=_parsed,
    help="Only records from this time on: RFC 3339, or a span back from now such as 2h.",
)
@click.option(
    "--to", "created_to", type=Moment(ago=True), callback=_parsed, help="Only records before this time, likewise."
)
@click.option(
    "--limit", type=click.IntRange(min=1, max=10_000), default=50, show_default=True, help="The number of records."
)
@click.option("--follow", is_flag=True, help="Wait for further records, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts, one record per line.")
def audit(client: str | None, limit: int, follow: bool, as_json: bool, **filters: Any) -> None:
    """Show who changed keys, clients, pauses, templates, suppressions and data, oldest record first.

    Without --from these are the newest records.
    """
    wanted = {name: value for name, value in filters.items() if value is not None}
    with store.opened():
        owner = store.client(client).id if client else None
        found = table.newest(owner, wanted, None, limit)[::-1]
        _say(found, as_json=as_json)
        after = found[-1]["id"] if found else 0
        for _ in itertools.count() if follow else ():
            time.sleep(PAUSE)
            with connection():
                new = table.newest(owner, {**wanted, "after": after}, None, limit)[::-1]
            _say(new, as_json=as_json, heading=False)
            after = new[-1]["id"] if new else after


def _say(found: Iterable[table.Row], *, as_json: bool, heading: bool = True) -> None:
    if as_json:
        for row in found:
            click.echo(orjson.dumps(act(row), option=orjson.OPT_UTC_Z).decode())
        return
    lines = show.table(map(_readable, found), COLUMNS).split("\n")
    for line in lines if heading else lines[1:]:
        click.echo(line)


def _readable(row: table.Row) -> dict[str, Any]:
    by = f"key {row['key_id']}" if row["actor"] == "key" else " ".join(filter(None, (row["actor"], row["name"])))
    detail = ", ".join(f"{name}={show.value(name, value)}" for name, value in row["detail"].items())
    return {**row, "by": by, "detail": detail}
