"""/api/pauses: clients and channels whose notifications are accepted and stored, but not sent for now."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from falcon.asgi import Request, Response

from api.access.acts import by
from api.access.auth import Caller, require, with_live_key
from api.http.answers import write
from api.http.bodies import read_nothing
from api.http.problems import Problem
from api.store import NotificationStore
from db import acts, pauses
from db.audit import recorded
from db.models import CHANNELS
from db.pauses import Pause
from runtime import logs

log = logs.get("api")


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
        caller = with_live_key(require(req, "manage"))
        await read_nothing(req, self._store.settings.http)
        done = await self._store.read(recorded(by(req), acts.paused, pauses.pause), "client", str(caller.client_id))
        write(resp, _shown(_said(done), caller))

    async def on_delete(self, req: Request, resp: Response) -> None:
        caller = with_live_key(require(req, "manage"))
        await read_nothing(req, self._store.settings.http)
        done = await self._store.read(recorded(by(req), acts.paused, pauses.resume), "client", str(caller.client_id))
        write(resp, _shown(_said(done), caller))


class ChannelPause:
    """PUT: stop sending through a channel, for all clients. DELETE: resume."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_put(self, req: Request, resp: Response, channel: str) -> None:
        caller, channel = with_live_key(require(req, "admin")), _known(channel)
        await read_nothing(req, self._store.settings.http)
        done = await self._store.read(recorded(by(req), acts.paused, pauses.pause), "channel", channel)
        write(resp, _shown(_said(done), caller))

    async def on_delete(self, req: Request, resp: Response, channel: str) -> None:
        caller, channel = with_live_key(require(req, "admin")), _known(channel)
        await read_nothing(req, self._store.settings.http)
        done = await self._store.read(recorded(by(req), acts.paused, pauses.resume), "channel", channel)
        write(resp, _shown(_said(done), caller))


def _known(channel: str) -> str:
    if channel not in CHANNELS:
        raise Problem(HTTPStatus.NOT_FOUND, f"There is no such channel; channels are: {', '.join(CHANNELS)}.")
    return channel


def _said(pause: Pause) -> Pause:
    log.warning("pause.began" if pause.since else "pause.ended", kind=pause.kind, name=pause.name)
    return pause


def _shown(pause: Pause, caller: Caller) -> dict[str, Any]:
    # Callers see only their own client.
    name = caller.client if pause.kind == "client" else pause.name
    return {"kind": pause.kind, "name": name, "paused": pause.since is not None, "since": pause.since}
