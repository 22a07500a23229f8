"""Serve /notifications/{id}/retry and /cancel: GET asks for confirmation, POST calls the function of the API."""

from __future__ import annotations

from falcon.asgi import Request, Response

from api.access.auth import Caller, require
from api.dashboard.page import done, show
from api.http.answers import id_of
from api.resources import control
from api.resources.representation import KIND
from api.store import NotificationStore
from db import reports
from db.reports import Row


class Retry:
    """GET: ask for confirmation. POST: retry a failed notification with all of its attempts."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response, id: str) -> None:
        row = await _row(self._store, require(req, "manage"), id)
        if row["status"] != "failed":
            raise control.in_this_state(row, "retried", "failed")
        show(req, resp, "retry.html", row=row)

    on_head = on_get

    async def on_post(self, req: Request, resp: Response, id: str) -> None:
        caller, number = require(req, "manage"), id_of(id, KIND)
        await control.retry(self._store, number, caller)
        done(req, resp, f"/notifications/{number}", "retried")


class Cancel:
    """GET: ask for confirmation. POST: cancel a pending notification."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response, id: str) -> None:
        row = await _row(self._store, require(req, "manage"), id)
        if row["status"] != "pending":
            raise control.in_this_state(row, "cancelled", "pending")
        show(req, resp, "cancel.html", row=row)

    on_head = on_get

    async def on_post(self, req: Request, resp: Response, id: str) -> None:
        caller, number = require(req, "manage"), id_of(id, KIND)
        await control.cancel(self._store, number, caller)
        done(req, resp, f"/notifications/{number}", "cancelled")


async def _row(store: NotificationStore, caller: Caller, id: str) -> Row:
    """Return the notification if the caller may change it."""
    return control.own(await store.read(reports.notification, id_of(id, KIND), caller.client_id), caller)
