"""/api/history: how many notifications were sent or failed, and how fast, over the last hours or days."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from falcon.asgi import Request, Response

from api.access.auth import Caller, forbidden, require
from api.http import pagination
from api.http.answers import LARGEST_ID, write
from api.store import NotificationStore
from db import history
from db.history import WINDOWS, Counts
from db.history.dimensions import DIMENSIONS
from db.history.reported import REPORTS

DEFAULT_WINDOW = "24h"
DEFAULT_DIMENSION = "type"


class History:
    """GET: show the counts of the caller's client, or with the scope admin those of all clients or of one."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response) -> None:
        given, found = await self.read(req, req.params)
        write(resp, {**given, **document(found)})

    on_head = on_get

    async def read(self, req: Request, parameters: Mapping[str, Any]) -> tuple[dict[str, str], history.History]:
        """Return the window and the dimension of a request, and the counts; raise Problem."""
        caller = require(req, "read")
        asked = pagination.given(parameters, _PARSERS)
        given = {"window": asked.get("window", DEFAULT_WINDOW), "by": asked.get("by", DEFAULT_DIMENSION)}
        whose = asked.get("clientId") if sees_all(caller) else _own(caller, asked.get("clientId"))
        return given, await self._store.read(history.read, whose, WINDOWS[given["window"]], given["by"])


def sees_all(caller: Caller) -> bool:
    """Return whether the caller may see the counts of all clients."""
    return "admin" in caller.scopes and not caller.sandbox


def _own(caller: Caller, client_id: int | None) -> int:
    """Return the id of the caller's client; raise the Problem 403 if it asks for another one."""
    if client_id not in (None, caller.client_id):
        raise forbidden("Only a live key with the scope 'admin' shows the history of other clients.", "admin")
    return caller.client_id


def document(found: history.History) -> dict[str, Any]:
    """Return the counts as JSON."""
    return {
        "from": found.start,
        "to": found.end,
        "total": counts(found.total),
        "points": [{"at": at, **counts(point)} for at, point in found.points],
        "items": [{"value": value or None, **counts(one)} for value, one in found.values],
    }


def counts(found: Counts) -> dict[str, Any]:
    """Return counts as JSON."""
    ends = {"sent": found.sent, "failed": found.failed, "cancelled": found.cancelled}
    reports = {name: getattr(found, name) for name in REPORTS}
    return {**ends, **reports, "successRate": found.success, "secondsP50": found.p50, "secondsP95": found.p95}


_PARSERS = {
    "window": pagination.one_of(tuple(WINDOWS)),
    "by": pagination.one_of(DIMENSIONS),
    "clientId": lambda raw: pagination.number(raw, LARGEST_ID),
}
