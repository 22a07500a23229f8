"""/api/callbacks/{id}/deliveries: the callbacks to one endpoint, and their retry."""

from __future__ import annotations

from http import HTTPStatus

from falcon.asgi import Request, Response

from api.access.auth import require, with_live_key
from api.http import pagination
from api.http.answers import id_of, shown, unknown, write
from api.http.bodies import read_nothing
from api.http.problems import Problem
from api.resources.callbacks import owned
from api.store import NotificationStore
from db import callbacks, lifecycle
from db.models import CALLBACK
from runtime import logs

log = logs.get("api")

KIND = "delivery"


class Deliveries:
    """GET: list the callbacks to one endpoint, newest first."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response, id: str) -> None:
        query = pagination.parse_deliveries(req.params, self._store.settings.store.page_limit)
        endpoint = await owned(self._store, req, id)
        status = query.filters.get("status")
        found = await self._store.read(callbacks.deliveries, endpoint["id"], status, query.after, query.limit + 1)
        page, more = found[: query.limit], len(found) > query.limit
        write(
            resp, {"items": [shown(row) for row in page], "nextCursor": pagination.cursor(page[-1]) if more else None}
        )

    on_head = on_get


class Delivery:
    """GET: show a callback, its body, and each attempt to deliver it."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response, id: str, delivery: str) -> None:
        endpoint = await owned(self._store, req, id)
        row = await self._store.read(callbacks.delivery, endpoint["id"], id_of(delivery, KIND))
        if row is None:
            raise unknown(KIND)
        made = await self._store.read(callbacks.attempts, row["id"])
        write(resp, {**shown(row), "attempts": [shown(attempt) for attempt in made]})

    on_head = on_get


class Redrive:
    """POST: deliver a failed callback again, with all its attempts anew and the same webhook-id."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_post(self, req: Request, resp: Response, id: str, delivery: str) -> None:
        caller = with_live_key(require(req, "manage"))
        await read_nothing(req, self._store.settings.http)
        endpoint = await owned(self._store, req, id)
        row = await self._store.read(callbacks.delivery, endpoint["id"], id_of(delivery, KIND))
        if row is None:
            raise unknown(KIND)
        grace = self._store.settings.queue.relay_grace
        whose = (caller.client_id, grace, caller.key_id, endpoint["id"])
        if not await self._store.read(lifecycle.redrive, row["id"], *whose):
            raise Problem(HTTPStatus.CONFLICT, f"This delivery is {row['status']}; only a failed one can be retried.")
        self._store.enqueue(row["id"], CALLBACK, caller.client_id)
        log.info("callback.retried", id=row["id"], endpoint=endpoint["id"])
        redriven = await self._store.read(callbacks.delivery, endpoint["id"], row["id"])
        write(resp, {name: value for name, value in shown(redriven or row).items() if name != "body"})
