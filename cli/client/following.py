"""`notify timeline`: the history of a notification. `notify limits`: the limits of a client."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import click

from cli.client.http import Client
from cli.client.notifications import at_url, in_json
from cli.terminal import moments, show

LIMITS = {"name": "LIMIT", "limit": "MAXIMUM", "used": "USED", "remaining": "REMAINING"}
# In the words of the options of `notify clients` that set them.
NAMES = {"rate": "per minute", "daily": "per day (UTC)", "pending": "pending"}


@click.command
@click.argument("id", type=click.IntRange(min=1))
@at_url
@in_json
def timeline(client: Client, as_json: bool, id: int) -> None:
    """Show the history of a notification, oldest event first."""
    events = list(_events(client, id))
    if as_json:
        click.echo(show.document(json.dumps({"items": events}, ensure_ascii=False)))
        return
    for event in events:
        at = moments.readable(event["at"])
        click.echo(show.plain(f"{at}  {event['event']:<11}  {show.details(event['detail'])}".rstrip()))


@click.command(short_help="Show the limits of the client.")
@at_url
@in_json
def limits(client: Client, as_json: bool) -> None:
    """Show the limits of the client: notifications per minute, per day, and pending at a time."""
    answer = client.limits()
    if as_json:
        click.echo(show.document(answer.raw))
        return
    known = answer.json
    click.echo(show.table((_limit(name, known[key]) for key, name in NAMES.items() if key in known), LIMITS))


def _events(client: Client, id: int) -> Iterator[dict[str, Any]]:
    """Yield all events of a notification, page by page."""
    cursor = None
    while True:
        page = client.events(id, cursor=cursor).json
        yield from page["items"]
        if (cursor := page.get("nextCursor")) is None:  # An API of an older version sends no nextCursor at all.
            return


def _limit(name: str, use: Mapping[str, Any]) -> dict[str, Any]:
    if use["limit"] is None:
        return {"name": name, "limit": "unlimited"}
    # The API sends null for a number that Redis holds, while Redis does not answer.
    return {"name": name, **{key: "unknown" if value is None else f"{value:,}" for key, value in use.items()}}
