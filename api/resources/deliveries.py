"""/api/callbacks/{id}/deliveries: the callbacks to one endpoint, and their retry."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus

from falcon.asgi import Request, Response

from api.access.acts import by
from api.access.auth import require, with_live_key
from api.http import pagination
from api.http.answers import id_of, shown, unknown, write
from api.http.bodies import read_nothing
from api.http.problems import Problem
from api.resources.callbacks import owned
from api.store import NotificationStore
from db import acts, callbacks, lifecycle
from db.audit import recorded
from db.callbacks import Row
from db.models import CALLBACK
from runtime import logs

log = logs.get("api")

KIND = "delivery"


class Deliveries:
    """GET: list the callbacks to one endpoint, newest first."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response, id: str) -> None:
        query = pagination.parse_deliveries(req.params)
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
        _, row = await of_endpoint(self._store, req, id, delivery)
        made = await self._store.read(callbacks.attempts, row["id"])
        write(resp, {**shown(row), "attempts": [shown(attempt) for attempt in made]})

    on_head = on_get


class Redrive:
    """POST: deliver a failed callback again with the same webhook-id. All of its attempts can be made again."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_post(self, req: Request, resp: Response, id: str, delivery: str) -> None:
        with_live_key(require(req, "manage"))
        await read_nothing(req, self._store.settings.http)
        row = await self.retry(req, id, delivery)
        write(resp, {name: value for name, value in shown(row).items() if name != "body"})

    async def retry(self, req: Request, id: str, delivery: str) -> Row:
        """Retry a failed delivery, enqueue it, and return it; raise Problem."""
        caller = with_live_key(require(req, "manage"))
        endpoint, row = await of_endpoint(self._store, req, id, delivery)
        grace = self._store.settings.queue.relay_grace
        whose = (caller.client_id, grace, caller.key_id, endpoint["id"])
        if not await self._store.read(lifecycle.redrive, row["id"], *whose):
            raise _not_retried(row)
        self._store.enqueue(row["id"], CALLBACK, caller.client_id)
        log.info("callback.retried", id=row["id"], endpoint=endpoint["id"])
        redriven: Row | None = await self._store.read(callbacks.delivery, endpoint["id"], row["id"])
        return redriven or row


class RedriveAll:
    """POST: deliver the failed callbacks to an endpoint again, oldest first, one step at a time."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_post(self, req: Request, resp: Response, id: str) -> None:
        with_live_key(require(req, "manage"))
        await read_nothing(req, self._store.settings.http)
        moved, more = await self.retry(req, id)
        write(resp, {"retried": moved, "more": more})

    async def retry(self, req: Request, id: str) -> tuple[int, bool]:
        """Retry a step of failed deliveries. Return how many, and whether there may be more; raise Problem."""
        caller = with_live_key(require(req, "manage"))
        endpoint = await owned(self._store, req, id)
        told = partial(acts.callbacks_retried, caller.client_id, endpoint["id"])
        doing, limit = recorded(by(req), told, lifecycle.redrive_callbacks), self._store.settings.store.retry_limit
        moved = await self._store.read(doing, caller.client_id, endpoint["id"], limit, caller.key_id)
        log.info("callbacks.retried", count=len(moved), endpoint=endpoint["id"])
        return len(moved), len(moved) == limit


async def of_endpoint(store: NotificationStore, req: Request, id: str, delivery: str) -> tuple[Row, Row]:
    """Return an endpoint of the caller, and a callback to it with its body; raise Problem."""
    endpoint = await owned(store, req, id)
    row = await store.read(callbacks.delivery, endpoint["id"], id_of(delivery, KIND))
    if row is None:
        raise unknown(KIND)
    return endpoint, row


def _not_retried(row: Row) -> Problem:
    if row["status"] == "failed":
        detail = "This delivery cannot be retried: it was a test that is over, or it was retried too often."
    else:
        detail = f"This delivery is {row['status']}; only a failed one can be retried."
    return Problem(HTTPStatus.CONFLICT, detail)
