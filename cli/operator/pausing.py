"""`notify pause` and `notify resume` directly in the database, for operators without an API key."""

from __future__ import annotations

import json
from collections.abc import Callable

import click

from actors.channels.registry import pausable
from api.http.times import exact
from cli.operator import caller, store
from cli.terminal import moments, show
from db import acts, pauses
from db.audit import recorded
from db.pauses import Pause


def change(arrow: str, *, channel: str | None, client: str | None, as_json: bool) -> None:
    """Pause or resume (`arrow`) a channel, a client, or every channel if neither is given."""
    if channel is not None and channel not in pausable():
        raise click.BadParameter(f"must be one of {', '.join(pausable())}", param_hint="--channel")
    arrows: dict[str, Callable[[str, str], Pause]] = {"pause": pauses.pause, "resume": pauses.resume}
    move = recorded(caller.by(), acts.paused, arrows[arrow])
    with store.opened():
        if client is not None:
            _say(move("client", str(store.client(client).id))._replace(name=client), as_json)
            return
        for one in pausable() if channel is None else (channel,):
            _say(move("channel", one), as_json)


def _say(pause: Pause, as_json: bool) -> None:
    if as_json:
        since = pause.since and exact(pause.since)
        known = {"kind": pause.kind, "name": pause.name, "paused": pause.since is not None, "since": since}
        click.echo(show.document(json.dumps(known)))
    else:
        state = f"paused since {moments.readable(pause.since)}" if pause.since else "not paused"
        click.echo(show.plain(f"{pause.kind} {pause.name}: {state}"))
