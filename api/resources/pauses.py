"""/api/pauses: clients and channels whose notifications are accepted and stored, but not sent for now."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from falcon.asgi import Request, Response

from actors.channels.registry import pausable
from api.access.acts import by
from api.access.auth import Caller, require, with_live_key
from api.http.answers import write
from api.http.bodies import read_nothing
from api.http.problems import Problem
from api.store import NotificationStore
from db import acts, pauses
from db.audit import recorded
from db.pauses import Pause
from runtime import logs

log = logs.get("api")

# pauses.pause or pauses.resume: from the kind and the name.
Change = Callable[[str, str], Pause]


class Pauses:
    """GET: list the pauses that affect the caller."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response) -> None:
        caller = require(req, "read")
        found = await self._store.read(pauses.in_force, caller.client_id)
        write(resp, {"items": [_shown(pause, caller) for pause in found]})

    on_head = on_get


class ClientPause:
    """PUT: stop sending the caller's notifications. DELETE: resume."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_put(self, req: Request, resp: Response) -> None:
        await self._answer(req, resp, pauses.pause)

    async def on_delete(self, req: Request, resp: Response) -> None:
        await self._answer(req, resp, pauses.resume)

    async def change(self, req: Request, change: Change) -> Pause:
        """Pause or resume the caller's client; raise Problem."""
        caller = with_live_key(require(req, "manage"))
        return await _changed(self._store, req, change, "client", str(caller.client_id))

    async def _answer(self, req: Request, resp: Response, change: Change) -> None:
        caller = with_live_key(require(req, "manage"))
        await read_nothing(req, self._store.settings.http)
        write(resp, _shown(await self.change(req, change), caller))


class ChannelPause:
    """PUT: stop sending through a channel, for all clients. DELETE: resume."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_put(self, req: Request, resp: Response, channel: str) -> None:
        await self._answer(req, resp, channel, pauses.pause)

    async def on_delete(self, req: Request, resp: Response, channel: str) -> None:
        await self._answer(req, resp, channel, pauses.resume)

    async def change(self, req: Request, channel: str, change: Change) -> Pause:
        """Pause or resume a channel; raise Problem."""
        with_live_key(require(req, "admin"))
        return await _changed(self._store, req, change, "channel", known_channel(channel))

    async def _answer(self, req: Request, resp: Response, channel: str, change: Change) -> None:
        caller = with_live_key(require(req, "admin"))
        known_channel(channel)
        await read_nothing(req, self._store.settings.http)
        write(resp, _shown(await self.change(req, channel, change), caller))


def known_channel(channel: str) -> str:
    """Return the name of a channel; raise Problem if there is no such channel."""
    if channel not in (known := pausable()):
        raise Problem(HTTPStatus.NOT_FOUND, f"There is no such channel; channels are: {', '.join(known)}.")
    return channel


async def _changed(store: NotificationStore, req: Request, change: Change, kind: str, name: str) -> Pause:
    pause = await store.read(recorded(by(req), acts.paused, change), kind, name)
    log.warning("pause.began" if pause.since else "pause.ended", kind=pause.kind, name=pause.name)
    return pause


def _shown(pause: Pause, caller: Caller) -> dict[str, Any]:
    # Callers see only their own client.
    name = caller.client if pause.kind == "client" else pause.name
    return {"kind": pause.kind, "name": name, "paused": pause.since is not None, "since": pause.since}
