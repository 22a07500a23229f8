"""`notify suppressions`: add, list and remove suppressed addresses."""

from __future__ import annotations

from typing import Any

import click

from cli.client.notifications import at_url, in_json
from cli.terminal import show
from cli.terminal.moments import Moment

REASONS = ("manual", "unsubscribed", "bounced", "complained")
COLUMNS = {
    "address": "ADDRESS",
    "reason": "REASON",
    "source": "SOURCE",
    "createdAt": "CREATED",
    "expiresAt": "EXPIRES",
}


@click.group(short_help="Manage the suppression list.")
def suppressions() -> None:
    """Manage the suppression list: addresses that no notification is sent to."""


@suppressions.command
@click.argument("address")
@click.option("--source", help="Where the request came from, as a note for people.")
@click.option(
    "--until",
    "expiresAt",
    type=Moment(),
    help="When the suppression ends: an RFC 3339 time, or a span from now such as 30d. Without it, never.",
)
@at_url
@in_json
def add(client: Any, as_json: bool, address: str, **given: str | None) -> None:
    """Add ADDRESS to the suppression list."""
    answer = client.suppress({"address": address, **{name: value for name, value in given.items() if value}})
    click.echo(show.document(answer.raw) if as_json else show.plain(f"{answer.json['address']}: suppressed"))


@suppressions.command("list")
@click.option("--reason", type=click.Choice(REASONS), help="Only addresses with this reason.")
@click.option("--limit", type=click.IntRange(min=1), help="The number of addresses at most.")
@click.option("--cursor", help="Continue after the page that printed this cursor.")
@at_url
@in_json
def list_(client: Any, as_json: bool, **wanted: object) -> None:
    """List suppressed addresses, newest first."""
    answer = client.suppressions(**wanted)
    click.echo(show.document(answer.raw) if as_json else show.page(answer.json, COLUMNS))


@suppressions.command
@click.argument("address")
@at_url
def remove(client: Any, address: str) -> None:
    """Remove ADDRESS from the suppression list. Notifications are sent to it again."""
    client.unsuppress(address)
    click.echo(f"{show.plain(address)}: no longer suppressed")
