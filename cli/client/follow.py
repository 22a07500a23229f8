"""`notify follow`: print the changes of notifications as they happen."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any

import click

from cli.client.http import NOTIFICATIONS, Client
from cli.client.notifications import STATUSES, at_url, in_json
from cli.client.sse import Events
from cli.terminal import moments, show
from cli.terminal.failure import Refused, Unreachable

STREAM = "/api/stream"


@click.command(short_help="Print the changes of notifications as they happen.")
@click.argument("id", type=click.IntRange(min=1), required=False)
@click.option("--status", type=click.Choice(STATUSES), help="Only changes to this status.")
@click.option("--tag", multiple=True, help="Only notifications with this tag; with all tags if repeated.")
@click.option("--after", type=click.IntRange(min=0), help="Start after the event with this `eventId`, instead of now.")
@click.option("--count", type=click.IntRange(min=1), help="Stop after this number of events.")
@at_url
@in_json
def follow(client: Client, as_json: bool, count: int | None, id: int | None, **wanted: Any) -> None:
    """Print changes as they happen: of all notifications until Ctrl-C, or of one until it is final.

    A connection that breaks is opened again, and no event is lost. With --json each event is a line of JSON,
    with the `eventId` that --after takes.
    """
    if id is not None and (wanted["status"] or wanted["tag"]):
        raise click.UsageError("--status and --tag filter all notifications: leave out the ID, or these options")
    path = STREAM if id is None else f"{NOTIFICATIONS}/{id}/events"
    with suppress(KeyboardInterrupt):
        for event in islice(_events(client, path, wanted), count):
            line = json.dumps(event, ensure_ascii=False) if as_json else _line(event)
            click.echo(show.document(line) if as_json else show.plain(line))


def _events(client: Client, path: str, wanted: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the events of the stream, over as many connections as needed."""
    after = wanted["after"]
    events, connected = Events("" if after is None else str(after)), False
    filters = {name: wanted[name] or None for name in ("status", "tag")}
    while True:
        try:
            for type, data in events.read(client.stream(path, filters, events.last)):
                connected, event = True, json.loads(data)
                if type == "message":
                    yield {"eventId": int(events.last), **event}
                elif type == "lost":
                    click.echo(f"{event['detail']} (after event {event['after']})", err=True)
                elif type == "end" and event["reason"] in ("final", "gone"):
                    return
                elif type == "end" and event["reason"] == "key":
                    raise Refused(event["detail"])
        except Unreachable as gone:
            if not connected:
                raise
            click.echo(f"{gone.message}\nTrying again.", err=True)
        if not connected:  # The stream ended without an event: the notification was final already.
            return
        time.sleep(events.retry)


def _line(event: Mapping[str, Any]) -> str:
    at, one = moments.readable(event["at"]), event.get("notification")
    if one is None:
        return f"{at}  {event['event']:<11}  {show.details(event['detail'])}".rstrip()
    why = [one["failureReason"], one["lastError"]] if one["status"] in ("pending", "failed") else []
    text = "  ".join(part for part in (one["recipient"], *why) if part)
    return f"{at}  {one['id']:>8}  {event['event']:<11}  {text}".rstrip()
