"""`notify erase`: erase the content of notifications to an address. Uses the database directly."""

from __future__ import annotations

import click
import orjson

from actors.channels.addresses import FORMS, address_fault, normalised
from api.resources.documents import erasure as shown
from cli.operator import caller, store
from cli.terminal import show
from cli.terminal.failure import Refused
from db import erasing, erasures
from db.clients import Client
from db.erasing import Of
from db.suppressions import find
from settings import Settings

COLUMNS = {
    "id": "ID",
    "status": "STATUS",
    "cancelled": "CANCELLED",
    "erased": "ERASED",
    "copies": "COPIES",
    "callbacks": "CALLBACKS",
    "left": "REMAINING",
}
LAST = 2**63 - 1  # bigint


@click.command(short_help="Erase the content of notifications to an address.")
@click.argument("address")
@click.option("--client", default="default", show_default=True, help="The name of the client that sent them.")
@click.option("--dry-run", is_flag=True, help="Only count what would be erased.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation. Erasing cannot be undone.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def erase(address: str, client: str, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Erase the content of all notifications that a client has sent to ADDRESS. Statuses, times and counts stay.

    Pending notifications are cancelled first. Workers erase those that are being sent at the moment as soon as
    their outcome is known: run this again to see whether all is erased. Safe to stop, and to run while workers run.
    """
    if fault := address_fault(address):
        raise Refused(f"ADDRESS: must be {FORMS}: {fault}")
    with store.opened() as chosen:
        owner, meant = store.client(client), normalised(address)
        found = erasing.count(Of(owner.id, meant, LAST))
        if dry_run:
            _say_count(found, listed=find(owner.id, meant) is not None, as_json=as_json)
            return
        if not yes:
            to = sum(found.values()) - found["copies"]
            copies = f"{found['copies']} with it in cc or bcc"
            click.confirm(f"Erase {to} notifications to {address} and {copies} for ever?", abort=True, err=True)
        _erase(owner, meant, chosen, as_json=as_json)


def _erase(owner: Client, address: str, chosen: Settings, *, as_json: bool) -> None:
    by = caller.by()
    id = erasures.begin(owner.id, address, by)
    while erasures.step(id, chosen.retention.erasure_batch, by):
        pass
    erasures.give_back(id, 0)
    row = erasures.one(owner.id, id)
    if row is None:
        raise Refused(f"Erasure {id} no longer exists: run this again")
    if as_json:
        click.echo(orjson.dumps(shown(row), option=orjson.OPT_UTC_Z).decode())
        return
    click.echo(show.table([shown(row)], COLUMNS))
    if row["done_at"] is None:
        click.echo("Workers erase the notifications that are being sent once their outcome is known.", err=True)


def _say_count(found: dict[str, int], *, listed: bool, as_json: bool) -> None:
    counts = {name: count for name, count in found.items() if name != "copies"}
    if as_json:
        document = {"dryRun": True, "notifications": counts, "copies": found["copies"], "suppressed": listed}
        click.echo(orjson.dumps(document).decode())
        return
    lines = [{"what": name, "count": count} for name, count in [*counts.items(), ("copies", found["copies"])]]
    click.echo(show.table(lines, {"what": "WOULD BE ERASED", "count": "COUNT"}))
    click.echo(f"On the suppression list: {'yes; it stays there as a digest' if listed else 'no'}")
