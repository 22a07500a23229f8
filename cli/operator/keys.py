"""`notify keys`: the keys that clients come in with. Speaks to the database itself.

A new key is the only line on stdout, so that a script can keep it: KEY=$(notify keys create ...).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from api.http import pagination
from cli.completion import completing
from cli.operator import caller, store
from cli.terminal import show
from cli.terminal.failure import Refused
from db import acts, secrets
from db import keys as table
from db.audit import recorded
from db.keys import SCOPES, Grant, Key
from db.secrets import KeyText

COLUMNS = {
    "id": "ID",
    "name": "NAME",
    "scopes": "SCOPES",
    "kind": "KIND",
    "created_at": "CREATED",
    "last_used_at": "LAST USED",
    "expires_at": "EXPIRES",
    "revoked_at": "REVOKED",
    "replaced_by": "NEXT",
}
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


@click.group(short_help="Make, rotate and revoke API keys.")
def keys() -> None:
    """The keys that clients come in with. Speaks to the database at DATABASE_URL."""


@keys.command
@click.option(
    "--client",
    default="default",
    show_default=True,
    shell_complete=completing.clients,
    help="The name of the client it belongs to.",
)
@click.option("--name", required=True, help="What it is for.")
@click.option("--scope", "scopes", multiple=True, required=True, type=click.Choice(SCOPES), help="What it may do.")
@click.option("--sandbox", is_flag=True, help="For tests: what it sends goes to simulated recipients only.")
@click.option("--expires-at", metavar="TIME", help="When it stops working, e.g. 2030-01-01T00:00:00Z.")
@_json
def create(client: str, as_json: bool, expires_at: str | None, **given: Any) -> None:
    """Make a key, which is shown this once."""
    expires = None
    if expires_at is not None:
        try:
            expires = pagination.time(expires_at)
        except pagination.Wrong as why:
            raise click.BadParameter(str(why), param_hint="--expires-at") from None
    grant = Grant(given["name"], sorted(set(given["scopes"]), key=SCOPES.index), given["sandbox"], expires)
    with store.opened() as chosen:
        # The scope admin is what the command line is for.
        store.checked("key", chosen, {"name": grant.name, "scopes": ["send"]})
        owner, secret = store.client(client), secrets.new()
        try:
            made = recorded(caller.by(), acts.key_created, table.create)(owner.id, secrets.digest(secret), grant)
        except table.TooMany:
            raise _too_many("Revoke one first: see `notify keys list`") from None
    if made is None:
        raise Refused("expires-at: must be in the future")
    _say_new(made, secret, as_json, f"Key {made.id} of the client {owner.name!r}. It is shown this once; keep it safe.")


@keys.command("list")
@click.option(
    "--client",
    default="default",
    show_default=True,
    shell_complete=completing.clients,
    help="The name of the client.",
)
@_json
def list_(client: str, as_json: bool) -> None:
    """List the keys of a client, oldest first, without their secrets."""
    found: list[Key] = []
    with store.opened():
        owner = store.client(client)
        while page := table.listed(owner.id, found[-1].id if found else 0, store.PAGE):
            found += page
    if as_json:
        for key in found:
            store.say(key._asdict())
    else:
        click.echo(show.table((_readable(key) for key in found), COLUMNS))


@keys.command
@click.argument("id", type=click.IntRange(min=1, max=2**63 - 1))
@click.option(
    "--overlap",
    type=click.IntRange(min=0, max=2_592_000),
    metavar="SECONDS",
    help="For how long the old key still works; KEY_OVERLAP unless said.",
)
@_json
def rotate(id: int, overlap: int | None, as_json: bool) -> None:
    """Make a key in the place of key ID, which is shown this once; the old one works for a while yet."""
    secret = secrets.new()
    with store.opened() as chosen:
        seconds = chosen.key_overlap if overlap is None else overlap
        doing = recorded(caller.by(), partial(acts.key_rotated, id), table.rotate)
        try:
            made = doing(id, secrets.digest(secret), seconds)
        except table.TooMany:
            raise _too_many("Revoke one first, see `notify keys list`, or rotate with --overlap 0") from None
    if made is None:
        raise Refused(f"Key {id} is unknown, revoked, has expired, or was rotated before: see `notify keys list`")
    _say_new(made, secret, as_json, f"Key {made.id} takes the place of key {id}, which works for {seconds} s more.")


@keys.command
@click.argument("id", type=click.IntRange(min=1, max=2**63 - 1))
@_json
def revoke(id: int, as_json: bool) -> None:
    """Revoke key ID: within a second it works nowhere."""
    with store.opened():
        revoked = recorded(caller.by(), acts.key_revoked, table.revoke)(id) or table.one(id)
    if revoked is None:
        raise Refused(f"There is no key {id}: see `notify keys list`")
    if as_json:
        store.say(revoked._asdict())
    else:
        click.echo(f"Key {id} is revoked.")


def _too_many(remedy: str) -> Refused:
    return Refused(f"A client may have {table.MOST_LIVE:,} keys that work, and this one has them. {remedy}")


def _say_new(key: Key, secret: str, as_json: bool, remark: str) -> None:
    text = str(KeyText(key.id, key.sandbox, secret))
    if as_json:
        store.say({**key._asdict(), "key": text})
    else:
        click.echo(remark, err=True)
        click.echo(text)


def _readable(key: Key) -> dict[str, Any]:
    return {**key._asdict(), "scopes": " ".join(key.scopes), "kind": "test" if key.sandbox else "live"}
