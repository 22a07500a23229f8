"""`notify domains`: the domains that mails come from, their DKIM keys and DNS records. Uses the database directly."""

from __future__ import annotations

import asyncio
from typing import Any

import click
import orjson

from actors.channels.email.domains import checking, keys
from actors.channels.email.domains.names import domain_fault, in_ascii
from actors.channels.email.domains.records import Envelope, wanted, zone_line
from api.resources import documents
from cli.completion import completing
from cli.operator import caller, store
from cli.terminal import show
from cli.terminal.failure import Refused
from db import acts, clients
from db import domains as table
from db.audit import recorded
from db.domain_keys import ALGORITHMS
from db.domains import MOST, Known, TooMany
from settings import Settings

COLUMNS = {"domain": "DOMAIN", "client": "CLIENT", "state": "STATE", "checkedAt": "CHECKED", "keys": "KEYS"}
RECORDS = {"purpose": "RECORD", "state": "STATE", "name": "NAME", "detail": "DETAIL"}
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
_client = click.option(
    "--client", shell_complete=completing.clients, help="The name of the client whose domain it is, if several have it."
)


@click.group(short_help="Sign mails: DKIM keys and DNS records of sending domains.")
def domains() -> None:
    """Manage the domains that mails are sent from. A domain signs its mails once DNS has its key."""


@domains.command("list")
@_json
def list_(as_json: bool) -> None:
    """List the domains of all clients and those of the operators, oldest first."""
    found: list[Known] = []
    with store.opened() as chosen:
        while page := table.everywhere(found[-1].domain.id if found else 0, store.PAGE):
            found += page
        lines = [_document(known, chosen) for known in found]
    if as_json:
        for line in lines:
            _say(line)
        return
    click.echo(show.table(({**line, "keys": _keys(line), "client": line["client"] or ""} for line in lines), COLUMNS))


@domains.command
@click.argument("domain")
@click.option(
    "--client",
    shell_complete=completing.clients,
    help="The name of the client that it belongs to. Without it, the domain signs the mails of all clients that come "
    "from MAIL_FROM, or from the option from of a provider.",
)
@click.option("--ed25519", is_flag=True, help="Sign with an Ed25519 key too. Large receivers ignore it.")
@_json
def add(domain: str, client: str | None, ed25519: bool, as_json: bool) -> None:
    """Add DOMAIN, make its keys, and print the records to publish. A domain that is there keeps its keys."""
    name = _name(domain)
    with store.opened() as chosen:
        owner = store.client(client).id if client else None
        there = table.find(owner, name)
        missing = set(ALGORITHMS if ed25519 else ("rsa",)) - {key.algorithm for key in (there.keys if there else ())}
        made = keys.make(missing, chosen.domains) if missing else []
        try:
            known, _ = recorded(caller.by(), acts.domain_added, table.add)(owner, name, made)
        except TooMany:
            raise Refused(f"The client has {MOST} domains, and no more are allowed: remove one first") from None
        _show_records(known, chosen, as_json=as_json)


@domains.command
@click.argument("domain")
@_client
@_json
def records(domain: str, client: str | None, as_json: bool) -> None:
    """Print the records that DOMAIN needs, as lines of a zone file."""
    with store.opened() as chosen:
        _show_records(_found(domain, client), chosen, as_json=as_json)


@domains.command
@click.argument("domain")
@_client
@_json
def check(domain: str, client: str | None, as_json: bool) -> None:
    """Ask DNS for the records of DOMAIN now. A new key that is found signs from the next minute on."""
    with store.opened() as chosen:
        known = _found(domain, client)
    found = asyncio.run(checking.check(known, chosen))
    with store.opened():
        after = table.record(known.domain.id, orjson.dumps(found.found).decode(), found.present, found.absent)
        if after is None:
            raise Refused(f"{domain} was removed meanwhile")
        line = _document(after, chosen)
    if as_json:
        _say(line)
        return
    click.echo(show.table(line["records"], RECORDS))
    click.echo(f"{after.domain.domain}: {after.state}")


@domains.command
@click.argument("domain")
@_client
@_json
def rotate(domain: str, client: str | None, as_json: bool) -> None:
    """Make a new key beside each current key of DOMAIN, and print the records to publish.

    Once a check has found the record of the new key, the new key signs. The record of the old one must stay for a week.
    """
    with store.opened() as chosen:
        known = _found(domain, client)
        if known.to_rotate:
            made = keys.make(known.to_rotate, chosen.domains)
            rotated = recorded(caller.by(), acts.domain_rotated, table.rotate)(known.domain.id, made)
            if rotated is None:
                raise Refused(f"{domain} was removed meanwhile")
            known = rotated
        _show_records(known, chosen, as_json=as_json)


@domains.command
@click.argument("domain")
@_client
def remove(domain: str, client: str | None) -> None:
    """Remove DOMAIN with its keys. Its mails are no longer signed."""
    with store.opened():
        recorded(caller.by(), acts.domain_removed, table.remove)(_found(domain, client).domain.id)
    click.echo(f"{show.plain(domain)}: removed. Its mails are no longer signed.")


def _name(text: str) -> str:
    if fault := domain_fault(text):
        raise Refused(f"DOMAIN: must be a domain such as example.com: {fault}")
    return in_ascii(text)


def _found(text: str, client: str | None) -> Known:
    """Return the domain of this client, or of whoever has it; raises Refused."""
    found = table.named(_name(text))
    if client:
        owner = store.client(client).id
        found = [known for known in found if known.domain.client_id == owner]
    elif len(found) > 1:  # That of the operators comes first.
        found = [known for known in found if known.domain.client_id is None]
        if not found:
            raise Refused(f"Several clients have {text}: name one with --client; see `notify domains list`")
    if not found:
        raise Refused(f"There is no such domain: see `notify domains list`, or add it with `notify domains add {text}`")
    return found[0]


def _document(known: Known, chosen: Settings) -> dict[str, Any]:
    owner = clients.one(known.domain.client_id) if known.domain.client_id else None
    return {"client": owner and owner.name, **documents.domain(known, Envelope.of(chosen))}


def _show_records(known: Known, chosen: Settings, *, as_json: bool) -> None:
    if as_json:
        _say(_document(known, chosen))
        return
    for record in wanted(known.domain.domain, known.keys, Envelope.of(chosen)):
        if record.value:
            click.echo(zone_line(record))
    click.echo(f"Publish these records, then run `notify domains check {known.domain.domain}`.", err=True)


def _keys(line: dict[str, Any]) -> str:
    return " ".join(f"{key['selector']} ({key['algorithm']}, {key['state']})" for key in line["keys"])


def _say(line: dict[str, Any]) -> None:
    click.echo(orjson.dumps(line, option=orjson.OPT_UTC_Z).decode())
