"""/api/notifications/{id}/cancel and /retry, and /api/notifications/retry for many notifications."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Any

from falcon.asgi import Request, Response

from actors.channels.addresses import normalised
from api.access.acts import by
from api.access.auth import Caller, require
from api.http import operations, pagination
from api.http.answers import id_of, unknown, write
from api.http.bodies import read_json, read_nothing
from api.http.problems import Problem, invalid
from api.http.times import moment
from api.resources.representation import KIND, notification
from api.schemas import Schema
from api.store import NotificationStore
from db import acts, failures, lifecycle, reports
from db.audit import recorded
from db.reports import Position
from runtime import logs

log = logs.get("api")

Moved = tuple[bool, reports.Row | None]


class Cancel:
    """POST: cancel a pending notification, so that it is never sent."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_post(self, req: Request, resp: Response, id: str) -> None:
        caller, number = require(req, "manage"), id_of(id, KIND)
        await read_nothing(req, self._store.settings.http)
        write(resp, notification(await cancel(self._store, number, caller)))


class Retry:
    """POST: retry a failed notification. All of its attempts can be made again."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_post(self, req: Request, resp: Response, id: str) -> None:
        caller, number = require(req, "manage"), id_of(id, KIND)
        await read_nothing(req, self._store.settings.http)
        write(resp, notification(await retry(self._store, number, caller)))


class BulkRetry:
    """POST: retry up to `limit` failed notifications that a filter matches, or with `dryRun` count them."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store
        self._schema = Schema("retry", store.settings)

    async def on_post(self, req: Request, resp: Response) -> None:
        caller = require(req, "manage")
        document = await read_json(req, self._store.settings.http)
        if isinstance(document, dict) and document.get("dryRun") is True:
            operations.mark_reading(req)
        if faults := self._schema.faults(document) or _aimless(document):
            raise invalid(HTTPStatus.UNPROCESSABLE_ENTITY, faults)
        filters = {_COLUMNS.get(name, name): _value(name, given) for name, given in document["filter"].items()}
        if caller.sandbox:
            filters["sandbox"] = True
        after = _after(document)
        if document.get("dryRun"):
            write(resp, await matching(self._store, caller.client_id, filters, after))
            return
        limit = document.get("limit", self._store.settings.store.retry_limit)
        moved = await retry_all(self._store, req, filters, after, limit)
        more = pagination.cursor(moved[-1]._asdict()) if len(moved) == limit else None
        write(resp, {"retried": len(moved), "nextCursor": more})


async def cancel(store: NotificationStore, id: int, caller: Caller) -> reports.Row:
    """Cancel a notification and return it; raise Problem."""
    cancelled, row = await store.read(_move, lifecycle.cancel, id, caller)
    if not cancelled:
        raise in_this_state(own(row, caller), "cancelled", "pending")
    log.info("notification.cancelled", id=id)
    return own(row, caller)


async def retry(store: NotificationStore, id: int, caller: Caller) -> reports.Row:
    """Retry a failed notification, enqueue it, and return it; raise Problem."""
    redriven, row = await store.read(_move, lifecycle.redrive, id, caller, store.settings.queue.relay_grace)
    if not redriven:
        raise in_this_state(own(row, caller), "retried", "failed")
    store.enqueue(id, own(row, caller)["priority"], caller.client_id)
    log.info("notification.redriven", id=id)
    return own(row, caller)


async def retry_all(
    store: NotificationStore, req: Request, filters: dict[str, Any], after: Position | None, limit: int
) -> list[Position]:
    """Retry up to `limit` notifications of the caller after a position; return the positions of the retried ones."""
    caller: Caller = req.context.caller
    told = [_NAMES.get(name, name) for name in filters]
    doing = recorded(by(req), partial(acts.retried, caller.client_id, told), lifecycle.redrive_all)
    moved = await store.read(doing, caller.client_id, filters, after, limit, caller.key_id)
    log.info("notifications.redriven", count=len(moved))
    return moved


async def matching(
    store: NotificationStore, client_id: int, filters: dict[str, Any], after: Position | None = None
) -> dict[str, Any]:
    """Return how many notifications would be retried in all steps, counted up to `failures.COUNTED`."""
    most = failures.COUNTED
    count = await store.read(failures.count, client_id, filters, after, most + 1)
    return {"matched": min(count, most), "more": count > most}


def own(row: reports.Row | None, caller: Caller) -> reports.Row:
    """Return the row; raise Problem 404 without one, or for a live notification and a sandbox key."""
    if row is None or (caller.sandbox and not row["sandbox"]):
        raise unknown(KIND)
    return row


def in_this_state(row: reports.Row, done: str, needed: str) -> Problem:
    """Return the Problem 409 that says why the notification cannot be `done` (such as "cancelled")."""
    if row["erased_at"] is not None:
        return Problem(HTTPStatus.CONFLICT, f"The notification was erased and cannot be {done}.")
    if row["status"] == needed:
        expires_at = row["expires_at"]
        if expires_at is not None and expires_at <= datetime.now(UTC):
            return Problem(HTTPStatus.CONFLICT, f"The notification's expiresAt has passed, so it cannot be {done}.")
        times = f"{lifecycle.MOST_ACTS} times already"
        detail = f"The notification was retried or rescheduled {times}: send a new notification instead."
        return Problem(HTTPStatus.CONFLICT, detail)
    detail = f"The notification is {row['status']}; only one that is {needed} can be {done}."
    return Problem(HTTPStatus.CONFLICT, detail)


def _move(arrow: Callable[..., bool], id: int, caller: Caller, *arguments: Any) -> Moved:
    moved = arrow(id, caller.client_id, *arguments, key=caller.key_id, only_sandbox=caller.sandbox)
    return moved, reports.notification(id, caller.client_id)


def _aimless(document: dict[str, Any]) -> list[dict[str, str]]:
    if document.get("dryRun") and "limit" in document:
        return [{"pointer": "/limit", "detail": "has no effect with dryRun: leave it out"}]
    return []


def _after(document: dict[str, Any]) -> Position | None:
    try:
        return pagination.position(document["cursor"]) if "cursor" in document else None
    except pagination.Wrong as why:
        raise invalid(HTTPStatus.UNPROCESSABLE_ENTITY, [{"pointer": "/cursor", "detail": str(why)}]) from None


def _value(name: str, given: str) -> object:
    if name == "recipient":
        return normalised(given)
    return moment(given) if name.startswith("created") else given


_COLUMNS = {
    **{"failureReason": "failure_reason", "lastOutcome": "last_outcome"},
    **{"createdFrom": "created_from", "createdTo": "created_to"},
}
_NAMES = {column: name for name, column in _COLUMNS.items()}
