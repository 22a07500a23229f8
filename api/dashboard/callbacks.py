"""Serve /callbacks: the callback endpoints of the client, and what was delivered to each."""

from __future__ import annotations

import time
from typing import Any

from falcon.asgi import Request, Response

from api.access.auth import require
from api.dashboard.page import done, show
from api.http import pagination
from api.resources.callback_health import EndpointTest
from api.resources.callbacks import Callback as ApiCallback
from api.resources.callbacks import owned
from api.resources.deliveries import Redrive, RedriveAll, of_endpoint
from api.store import NotificationStore
from db import callbacks
from db.callback_health import health
from db.callbacks import LATELY

STATUSES = ("pending", "processing", "sent", "failed")
TIME_LIMIT = 5.0  # seconds that one POST spends on retries


class Endpoints:
    """GET: the endpoints of the client, with their health."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response) -> None:
        caller = require(req, "manage")
        found = await self._store.read(callbacks.listed, caller.client_id)
        taken = await self._store.read(health, caller.client_id)
        # An endpoint may have been created or deleted between the two reads.
        endpoints = [(row, taken[row["id"]]) for row in found if row["id"] in taken]
        show(req, resp, "callbacks.html", endpoints=endpoints, lately=LATELY)

    on_head = on_get


class Endpoint:
    """GET: one endpoint and its deliveries, newest first."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response, endpoint: str) -> None:
        row = await owned(self._store, req, endpoint)
        given = {name: value for name, value in req.params.items() if value}
        query = pagination.parse_deliveries(given)
        status = query.filters.get("status")
        found = await self._store.read(callbacks.deliveries, row["id"], status, query.after, query.limit + 1)
        taken = await self._store.read(health, req.context.caller.client_id, row["id"])
        show(req, resp, "callback.html", endpoint=row, health=taken.get(row["id"]), **_page(query, found))

    on_head = on_get


class Delivery:
    """GET: one delivery with its body and attempts."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response, endpoint: str, delivery: str) -> None:
        owner, row = await of_endpoint(self._store, req, endpoint, delivery)
        made = await self._store.read(callbacks.attempts, row["id"])
        show(req, resp, "delivery.html", endpoint=owner, row=row, attempts=made)

    on_head = on_get


class RetryDelivery:
    """POST: retry a failed delivery."""

    def __init__(self, store: NotificationStore) -> None:
        self._api = Redrive(store)

    async def on_post(self, req: Request, resp: Response, endpoint: str, delivery: str) -> None:
        row = await self._api.retry(req, endpoint, delivery)
        done(req, resp, f"/callbacks/{endpoint}/deliveries/{row['id']}", "delivery-retried")


class RetryAll:
    """GET: ask for confirmation. POST: retry failed deliveries in steps, for up to TIME_LIMIT seconds."""

    def __init__(self, store: NotificationStore) -> None:
        self._store, self._api = store, RedriveAll(store)

    async def on_get(self, req: Request, resp: Response, endpoint: str) -> None:
        show(req, resp, "callback_retry.html", endpoint=await owned(self._store, req, endpoint))

    on_head = on_get

    async def on_post(self, req: Request, resp: Response, endpoint: str) -> None:
        retried, more, until = 0, True, time.monotonic() + TIME_LIMIT
        while more and time.monotonic() < until:
            moved, more = await self._api.retry(req, endpoint)
            retried += moved
        done(req, resp, f"/callbacks/{endpoint}", "deliveries-left" if more else "deliveries-retried", retried)


class Test:
    """POST: send a test callback and show its delivery."""

    def __init__(self, store: NotificationStore) -> None:
        self._api = EndpointTest(store)

    async def on_post(self, req: Request, resp: Response, endpoint: str) -> None:
        row = await self._api.send(req, endpoint)
        done(req, resp, f"/callbacks/{endpoint}/deliveries/{row['id']}", "callback-tested")


class Disabling:
    """GET: ask for confirmation. POST: disable or enable the endpoint."""

    def __init__(self, store: NotificationStore) -> None:
        self._store, self._api = store, ApiCallback(store)

    async def on_get(self, req: Request, resp: Response, endpoint: str) -> None:
        show(req, resp, "callback_disable.html", endpoint=await owned(self._store, req, endpoint))

    on_head = on_get

    async def on_post(self, req: Request, resp: Response, endpoint: str) -> None:
        wanted = req.context.form.get("disabled") == "true"
        await self._api.change(req, endpoint, {"disabled": wanted})
        done(req, resp, f"/callbacks/{endpoint}", "callback-disabled" if wanted else "callback-enabled")


def _page(query: pagination.Query, found: list[callbacks.Row]) -> dict[str, Any]:
    page, more = found[: query.limit], len(found) > query.limit
    return {
        "deliveries": page,
        "status": query.filters.get("status", ""),
        "statuses": STATUSES,
        "first": query.after is not None,
        "next_cursor": pagination.cursor(page[-1]) if more else None,
    }
