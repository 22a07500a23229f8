"""/api/suppressions: the addresses to which nothing is sent for a client."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from falcon.asgi import Request, Response

from actors.channels.addresses import LONGEST, normalised
from api.access.acts import by
from api.access.auth import require, with_live_key
from api.http import answers, pagination
from api.http.bodies import read_json
from api.http.pagination import Wrong
from api.http.problems import Problem, invalid
from api.resources import documents
from api.schemas import Schema
from api.store import NotificationStore
from db import acts, suppressions
from db.audit import recorded
from db.models import REASONS
from db.suppressions import Entry, Position, TooMany
from runtime import logs

log = logs.get("api")

PLACE = "/api/suppressions"
NO_MORE = "urn:notification-system:problem:too-many-suppressions"


class Suppressions:
    """POST: add an address to the suppression list. GET: list addresses, newest first."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store
        self._schema = Schema("suppression", store.settings)

    async def on_post(self, req: Request, resp: Response) -> None:
        with_live_key(require(req, "manage"))
        row, new = await self.add(req, await read_json(req, self._store.settings.http))
        if new:
            resp.set_header("Location", f"{PLACE}/{quote(row['address'], safe='@')}")
        answers.write(resp, documents.suppression(row), HTTPStatus.CREATED if new else HTTPStatus.OK)

    async def add(self, req: Request, document: Any) -> tuple[Mapping[str, Any], bool]:
        """Add an entry; return it and whether it is new. Raise Problem."""
        caller = with_live_key(require(req, "manage"))
        if faults := self._schema.faults(document):
            raise invalid(HTTPStatus.UNPROCESSABLE_ENTITY, faults)
        entry = _entry(document)
        most = self._store.settings.limits.suppressions
        try:
            doing = recorded(
                by(req), partial(acts.suppression_added, caller.client_id, entry.address), suppressions.add
            )
            row, new = await self._store.read(doing, caller.client_id, entry, most)
        except TooMany:
            raise _full(most) from None
        log.info("suppression.added", recipient=logs.masked(entry.address), reason=entry.reason)
        return row, new

    async def on_get(self, req: Request, resp: Response) -> None:
        caller = require(req, "read")
        query = pagination.parse(req.params, PARSERS)
        found = await self._store.read(
            suppressions.newest, caller.client_id, query.filters, query.after, query.limit + 1
        )
        page = found[: query.limit]
        more = len(found) > query.limit
        answers.write(
            resp,
            {"items": [documents.suppression(row) for row in page], "nextCursor": cursor(page[-1]) if more else None},
        )

    on_head = on_get


class Suppression:
    """GET: show the entry of an address. DELETE: remove it, so that mail is sent to the address again."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response, address: str) -> None:
        caller = require(req, "read")
        row = await self._store.read(suppressions.find, caller.client_id, _address(address))
        if row is None:
            raise _unknown()
        answers.write(resp, documents.suppression(row))

    on_head = on_get

    async def on_delete(self, req: Request, resp: Response, address: str) -> None:
        await self.remove(req, address)
        answers.empty(resp)

    async def remove(self, req: Request, address: str) -> None:
        """Remove an address from the list; raise Problem."""
        caller = with_live_key(require(req, "manage"))
        meant = _address(address)
        doing = recorded(
            by(req),
            partial(acts.suppression_removed, caller.client_id, meant),
            suppressions.remove,
        )
        if not await self._store.read(doing, caller.client_id, meant):
            raise _unknown()
        log.info("suppression.removed", recipient=logs.masked(address))


def _entry(document: Mapping[str, Any]) -> Entry:
    expires_at = pagination.time(document["expiresAt"]) if document.get("expiresAt") else None
    if expires_at is not None and expires_at <= datetime.now(UTC):
        fault = {"pointer": "/expiresAt", "detail": "must be in the future; leave it out for an entry without end"}
        raise invalid(HTTPStatus.UNPROCESSABLE_ENTITY, [fault])
    return Entry(normalised(document["address"]), document.get("reason", "manual"), document.get("source"), expires_at)


def _address(raw: str) -> str:
    # Falcon replaces bytes that are not UTF-8 with U+FFFD.
    if len(raw) > LONGEST or "\0" in raw or "\ufffd" in raw:
        raise _unknown()
    return normalised(raw)


def _full(most: int) -> Problem:
    detail = (
        f"This client has added {most} addresses to its list, as many as SUPPRESSIONS_LIMIT allows: remove some first,"
        " such as those whose expiresAt has passed. Addresses that bounce or unsubscribe are still added."
    )
    return Problem(HTTPStatus.CONFLICT, detail, type=NO_MORE)


def _unknown() -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, "This address is not on the suppression list.")


def cursor(last: Mapping[str, Any]) -> str:
    return pagination.encoded(f"{last['created_at'].isoformat()} {last['address']}")


def _position(raw: str) -> Position:
    when, _, address = pagination.decoded(raw).partition(" ")
    if not address or "\0" in address:
        raise Wrong(pagination.NOT_OURS)
    try:
        return Position(pagination.time(when), address)
    except Wrong:
        raise Wrong(pagination.NOT_OURS) from None


PARSERS = {
    "reason": pagination.one_of(REASONS),
    "createdFrom": pagination.time,
    "createdTo": pagination.time,
    "cursor": _position,
}
