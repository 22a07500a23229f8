"""Serve /pauses: pause and resume the client that is shown, and the channels."""

from __future__ import annotations

from falcon.asgi import Request, Response

from actors.channels.registry import pausable
from api.access.auth import require
from api.dashboard.page import done, show
from api.resources import pauses as api
from api.store import NotificationStore
from db import pauses


class Pauses:
    """GET: what can be paused, and what is."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response) -> None:
        caller = require(req, "read")
        found = await self._store.read(pauses.in_force, caller.client_id)
        since = {(pause.kind, pause.name): pause.since for pause in found}
        client = since.get(("client", str(caller.client_id)))
        channels = [(name, since.get(("channel", name))) for name in pausable()]
        show(req, resp, "pauses.html", client_since=client, channels=channels)

    on_head = on_get


class ClientPause:
    """GET: ask for confirmation. POST: pause or resume the client."""

    def __init__(self, store: NotificationStore) -> None:
        self._api = api.ClientPause(store)

    async def on_get(self, req: Request, resp: Response) -> None:
        caller = require(req, "manage")
        show(req, resp, "pause.html", title=f"Pause the client {caller.client}?", place="/pauses/client", channel=None)

    on_head = on_get

    async def on_post(self, req: Request, resp: Response) -> None:
        change, said = _wanted(req)
        await self._api.change(req, change)
        done(req, resp, "/pauses", said)


class ChannelPause:
    """GET: ask for confirmation. POST: pause or resume a channel, for all clients."""

    def __init__(self, store: NotificationStore) -> None:
        self._api = api.ChannelPause(store)

    async def on_get(self, req: Request, resp: Response, channel: str) -> None:
        require(req, "admin")
        name = api.known_channel(channel)
        place = f"/pauses/channels/{name}"
        show(req, resp, "pause.html", title=f"Pause the channel {name}?", place=place, channel=name)

    on_head = on_get

    async def on_post(self, req: Request, resp: Response, channel: str) -> None:
        change, said = _wanted(req)
        await self._api.change(req, channel, change)
        done(req, resp, "/pauses", said)


def _wanted(req: Request) -> tuple[api.Change, str]:
    """Return the change that a form asks for, and the code of its message."""
    if req.context.form.get("paused") == "false":
        return pauses.resume, "resumed"
    return pauses.pause, "paused"
