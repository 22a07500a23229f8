"""`notify suppressions`: add, list and remove."""

from __future__ import annotations

from typing import Any

import click

from cli.client.notifications import at_url, in_json
from cli.terminal import show

REASONS = ("manual", "unsubscribed", "bounced")
COLUMNS = {
    "address": "ADDRESS",
    "reason": "REASON",
    "source": "SOURCE",
    "createdAt": "CREATED",
    "expiresAt": "EXPIRES",
}


@click.group
def suppressions() -> None:
    """Addresses to which nothing is sent."""


@suppressions.command
@click.argument("address")
@click.option("--source", help="Where this comes from, for people.")
@click.option("--until", "expiresAt", metavar="TIME", help="Until when, e.g. 2030-01-01T00:00:00Z; else for ever.")
@at_url
@in_json
def add(client: Any, as_json: bool, address: str, **given: str | None) -> None:
    """Put an address on the list."""
    answer = client.suppress({"address": address, **{name: value for name, value in given.items() if value}})
    click.echo(show.document(answer.raw) if as_json else show.plain(f"{answer.json['address']}: suppressed"))


@suppressions.command("list")
@click.option("--reason", type=click.Choice(REASONS), help="Only these.")
@click.option("--limit", type=click.IntRange(min=1), help="How many at most.")
@click.option("--cursor", help="Where the page before ended.")
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
    """Take an address off the list: it is sent to again."""
    client.unsuppress(address)
    click.echo(f"{show.plain(address)}: not suppressed any more")
