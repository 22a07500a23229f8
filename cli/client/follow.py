"""`notify follow`: what happens to notifications, as it happens."""

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
from cli.terminal import show
from cli.terminal.failure import Refused, Unreachable

STREAM = "/api/stream"


@click.command
@click.argument("id", type=click.IntRange(min=1), required=False)
@click.option("--status", type=click.Choice(STATUSES), help="Only changes to this status.")
@click.option("--tag", multiple=True, help="Only notifications with this tag; again for more, which must all be there.")
@click.option("--after", type=click.IntRange(min=0), help="Begin after this event (see --json), instead of now.")
@click.option("--count", type=click.IntRange(min=1), help="End after so many.")
@at_url
@in_json
def follow(client: Client, as_json: bool, count: int | None, id: int | None, **wanted: Any) -> None:
    """Follow all changes as they happen, or one notification to its end; Ctrl-C ends it.

    Where the connection breaks it is made again, and nothing is left out. With --json there is a line of JSON
    for each event, with the `eventId` that --after takes.
    """
    if id is not None and (wanted["status"] or wanted["tag"]):
        raise click.UsageError("--status and --tag choose among all notifications: leave them out, or the ID")
    path = STREAM if id is None else f"{NOTIFICATIONS}/{id}/events"
    with suppress(KeyboardInterrupt):
        for event in islice(_events(client, path, wanted), count):
            line = json.dumps(event, ensure_ascii=False) if as_json else _line(event)
            click.echo(show.document(line) if as_json else show.plain(line))


def _events(client: Client, path: str, wanted: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Those of the stream, over as many connections as it takes."""
    after = wanted["after"]
    events, connected = Events("" if after is None else str(after)), False
    filters = {name: wanted[name] or None for name in ("status", "tag")}
    while True:
        try:
            for type, data in events.read(client.stream(path, filters, events.last)):
                connected, told = True, json.loads(data)
                if type == "message":
                    yield {"eventId": int(events.last), **told}
                elif type == "lost":
                    click.echo(f"{told['detail']} (after event {told['after']})", err=True)
                elif type == "end" and told["reason"] in ("final", "gone"):
                    return
                elif type == "end" and told["reason"] == "key":
                    raise Refused(told["detail"])
        except Unreachable as gone:
            if not connected:
                raise
            click.echo(f"{gone.message} Trying again.", err=True)
        if not connected:  # It has said nothing: there is nothing more to come.
            return
        time.sleep(events.retry)


def _line(event: Mapping[str, Any]) -> str:
    one = event.get("notification")
    if one is None:
        detail = ", ".join(f"{name}: {value}" for name, value in event["detail"].items() if value is not None)
        return f"{event['at']}  {event['event']:<11}  {detail}".rstrip()
    why = [one["failureReason"], one["lastError"]] if one["status"] in ("pending", "failed") else []
    told = [one["recipient"], *why]
    return f"{event['at']}  {one['id']:>8}  {event['event']:<11}  {'  '.join(t for t in told if t)}".rstrip()
