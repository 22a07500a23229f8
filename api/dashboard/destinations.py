"""Serve /destinations: the client's named places for chat messages and webhooks."""

from __future__ import annotations

from falcon.asgi import Request, Response

from api.access.auth import require
from api.dashboard.page import done, show
from api.http import pagination
from api.resources.destinations import Destination as ApiDestination
from api.resources.destinations import owned
from api.resources.templates import name_after
from api.store import NotificationStore
from db import destinations


class Destinations:
    """GET: the destinations of the client by name."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response) -> None:
        caller = require(req, "manage")
        query = pagination.parse(req.params, {"cursor": name_after})
        found = await self._store.read(destinations.listed, caller.client_id, query.after, query.limit + 1)
        page, more = found[: query.limit], len(found) > query.limit
        cursor = pagination.encoded(page[-1]["name"]) if more else None
        show(req, resp, "destinations.html", destinations=page, first=query.after is not None, next_cursor=cursor)

    on_head = on_get


class Deletion:
    """GET: ask for confirmation. POST: delete the destination."""

    def __init__(self, store: NotificationStore) -> None:
        self._store, self._api = store, ApiDestination(store)

    async def on_get(self, req: Request, resp: Response, destination: str) -> None:
        show(req, resp, "destination_delete.html", destination=await owned(self._store, req, destination))

    on_head = on_get

    async def on_post(self, req: Request, resp: Response, destination: str) -> None:
        await self._api.delete(req, destination)
        done(req, resp, "/destinations", "destination-deleted")
