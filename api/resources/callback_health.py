"""/api/callbacks/{id}/health and /test: find out whether an endpoint accepts its callbacks."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus

from falcon.asgi import Request, Response

from api.access.acts import by
from api.access.auth import require, with_live_key
from api.http.answers import id_of, shown, write
from api.http.bodies import read_nothing
from api.http.problems import Problem
from api.resources.callbacks import KIND, owned
from api.store import NotificationStore
from db import acts, callbacks, lifecycle
from db.audit import recorded
from db.callback_health import health
from db.models import CALLBACK
from db.reports import Row
from runtime import logs

log = logs.get("api")


class Health:
    """GET: show when an endpoint last accepted a callback, since when it fails, and how many callbacks wait for it."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response, id: str) -> None:
        endpoint = await owned(self._store, req, id)
        found = await self._store.read(health, req.context.caller.client_id, endpoint["id"])
        write(resp, shown(found[endpoint["id"]]._asdict()))

    on_head = on_get


class EndpointTest:
    """POST: send a test callback to an endpoint."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_post(self, req: Request, resp: Response, id: str) -> None:
        with_live_key(require(req, "manage"))
        await read_nothing(req, self._store.settings.http)
        row = await self.send(req, id)
        endpoint = id_of(id, KIND)
        resp.set_header("Location", f"/api/callbacks/{endpoint}/deliveries/{row['id']}")
        write(resp, {name: value for name, value in shown(row).items() if name != "body"}, HTTPStatus.CREATED)

    async def send(self, req: Request, id: str) -> Row:
        """Store a test callback, enqueue it and return it; raise Problem."""
        caller = with_live_key(require(req, "manage"))
        endpoint = await owned(self._store, req, id)
        told = partial(acts.callback_tested, caller.client_id, endpoint["id"])
        doing = recorded(by(req), told, lifecycle.enqueue_test)
        made = await self._store.read(doing, caller.client_id, endpoint["id"], self._store.settings.queue.relay_grace)
        if made is None:
            raise Problem(HTTPStatus.CONFLICT, "This endpoint is disabled: enable it before you test it.")
        self._store.enqueue(made, CALLBACK, caller.client_id)
        log.info("callback.tested", endpoint=endpoint["id"], id=made)
        row: Row | None = await self._store.read(callbacks.delivery, endpoint["id"], made)
        if row is None:
            raise Problem(HTTPStatus.CONFLICT, "This endpoint was deleted while it was tested.")
        return row
