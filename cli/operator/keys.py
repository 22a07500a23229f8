"""`notify keys`: API keys. Uses the database directly.

A new key is the only line on stdout, so that a script can store it: KEY=$(notify keys create ...).
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
from cli.terminal.moments import Moment
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
    "replaced_by": "REPLACED BY",
}
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


@click.group(short_help="Create, rotate and revoke API keys.")
def keys() -> None:
    """Manage API keys, which clients authenticate with. Uses the database directly."""


@keys.command
@click.option(
    "--client",
    default="default",
    show_default=True,
    shell_complete=completing.clients,
    help="The name of the client that the key belongs to.",
)
@click.option("--name", required=True, help="A name that says what the key is for.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice(SCOPES),
    help="What the key may do; may be repeated.",
)
@click.option("--sandbox", is_flag=True, help="A test key: its notifications go to simulated recipients only.")
@click.option(
    "--expires-at", type=Moment(), help="When the key stops working: an RFC 3339 time, or a span from now such as 90d."
)
@_json
def create(client: str, as_json: bool, expires_at: str | None, **given: Any) -> None:
    """Create a key and print it. It cannot be shown again."""
    expires = None
    if expires_at is not None:
        try:
            expires = pagination.time(expires_at)
        except pagination.Wrong as why:
            raise click.BadParameter(str(why), param_hint="--expires-at") from None
    grant = Grant(given["name"], sorted(set(given["scopes"]), key=SCOPES.index), given["sandbox"], expires)
    with store.opened() as chosen:
        # The schema does not allow the scope admin, which only the command line may give.
        store.checked("key", chosen, {"name": grant.name, "scopes": ["send"]})
        owner, secret = store.client(client), secrets.new()
        try:
            made = recorded(caller.by(), acts.key_created, table.create)(owner.id, secrets.digest(secret), grant)
        except table.TooMany:
            raise _too_many("revoke one first: see `notify keys list`") from None
    if made is None:
        raise Refused("--expires-at: must be in the future")
    _say_new(
        made, secret, as_json, f"Key {made.id} of the client {owner.name!r}. It cannot be shown again: keep it safe."
    )


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
    help="How long the old key keeps working; a day (86400) if not given.",
)
@_json
def rotate(id: int, overlap: int | None, as_json: bool) -> None:
    """Replace the key ID: create a new key and print it. The old one keeps working for a while."""
    secret = secrets.new()
    with store.opened():
        seconds = table.OVERLAP if overlap is None else overlap
        doing = recorded(caller.by(), partial(acts.key_rotated, id), table.rotate)
        try:
            made = doing(id, secrets.digest(secret), seconds)
        except table.TooMany:
            raise _too_many("revoke one first (see `notify keys list`), or rotate with --overlap 0") from None
    if made is None:
        raise Refused(f"Key {id} does not exist, is revoked, expired or replaced already: see `notify keys list`")
    _say_new(made, secret, as_json, f"Key {made.id} replaces key {id}, which works for another {seconds} s.")


@keys.command
@click.argument("id", type=click.IntRange(min=1, max=2**63 - 1))
@_json
def revoke(id: int, as_json: bool) -> None:
    """Revoke the key ID: it stops working within a second."""
    with store.opened():
        revoked = recorded(caller.by(), acts.key_revoked, table.revoke)(id) or table.one(id)
    if revoked is None:
        raise Refused(f"There is no key {id}: see `notify keys list`")
    if as_json:
        store.say(revoked._asdict())
    else:
        click.echo(f"Key {id} is revoked.")


def _too_many(remedy: str) -> Refused:
    return Refused(f"The client has {table.MOST_LIVE:,} valid keys, and no more are allowed: {remedy}")


def _say_new(key: Key, secret: str, as_json: bool, remark: str) -> None:
    text = str(KeyText(key.id, key.sandbox, secret))
    if as_json:
        store.say({**key._asdict(), "key": text})
    else:
        click.echo(remark, err=True)
        click.echo(text)


def _readable(key: Key) -> dict[str, Any]:
    return {**key._asdict(), "scopes": " ".join(key.scopes), "kind": "test" if key.sandbox else "live"}
