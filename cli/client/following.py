"""`notify timeline` and `limits`: what became of a notification, and what may still be sent."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import click

from cli.client.http import Client
from cli.client.notifications import at_url, in_json
from cli.terminal import show

LIMITS = {"name": "LIMIT", "limit": "AT MOST", "used": "USED", "remaining": "LEFT"}
# In the words of the options that set them.
NAMES = {"rate": "a minute", "daily": "a day (UTC)", "pending": "waiting"}


@click.command
@click.argument("id", type=click.IntRange(min=1))
@at_url
@in_json
def timeline(client: Client, as_json: bool, id: int) -> None:
    """Tell the story of a notification, first to last."""
    events = list(_events(client, id))
    if as_json:
        click.echo(show.document(json.dumps({"items": events}, ensure_ascii=False)))
        return
    for event in events:
        click.echo(show.plain(f"{event['at']}  {event['event']:<11}  {_told(event['detail'])}".rstrip()))


@click.command
@at_url
@in_json
def limits(client: Client, as_json: bool) -> None:
    """Show what may still be sent: notifications a minute, a day, and waiting."""
    answer = client.limits()
    if as_json:
        click.echo(show.document(answer.raw))
        return
    known = answer.json
    click.echo(show.table((_limit(name, known[key]) for key, name in NAMES.items() if key in known), LIMITS))


def _events(client: Client, id: int) -> Iterator[dict[str, Any]]:
    """All events of a notification, page by page."""
    cursor = None
    while True:
        page = client.events(id, cursor=cursor).json
        yield from page["items"]
        if (cursor := page.get("nextCursor")) is None:  # A server of an older version has no pages.
            return


def _told(detail: Mapping[str, Any]) -> str:
    """What there is to tell, whole: the words of a mail server are what one looks for here."""
    return ", ".join(f"{name}: {value}" for name, value in detail.items() if value is not None)


def _limit(name: str, use: Mapping[str, Any]) -> dict[str, Any]:
    if use["limit"] is None:
        return {"name": name, "limit": "any number"}
    # Null where Redis cannot be asked.
    return {"name": name, **{key: "unknown" if value is None else value for key, value in use.items()}}
