"""Serve /switch, where an admin chooses the client that the pages show."""

from __future__ import annotations

from falcon.asgi import Request, Response

from api.access.auth import forbidden
from api.dashboard import cookies, visitor
from api.dashboard.page import done, show
from api.http import pagination
from api.http.answers import id_of, unknown
from api.store import NotificationStore
from db import clients

KIND = "client"


class Switch:
    """GET: all clients. POST: choose one."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response) -> None:
        _check(req)
        query = pagination.parse_numbered(req.params)
        found = await self._store.read(clients.listed, query.after, query.limit + 1)
        shown = query.page([client._asdict() for client in found])
        first = "/switch" if query.after else None
        show(req, resp, "switch.html", clients=shown["items"], first=first, next_cursor=shown["nextCursor"])

    on_head = on_get

    async def on_post(self, req: Request, resp: Response) -> None:
        _check(req)
        id = id_of(req.context.form.get("client", ""), KIND)
        if await self._store.read(clients.one, id) is None:
            raise unknown(KIND)
        cookies.put(req, resp, visitor.CHOSEN, str(id))
        done(req, resp, "/", "switched")


def _check(req: Request) -> None:
    if not visitor.may_choose(req.context.caller):
        raise forbidden("Only a live key with the scope 'admin' shows other clients.", "admin")
