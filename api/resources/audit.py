"""/api/audit: the audit log, which records who did what to whose data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from falcon.asgi import Request, Response

from api.access.auth import Caller, require
from api.http import answers, pagination
from api.http.pagination import Wrong
from api.resources import documents
from api.store import NotificationStore
from db import audit

LARGEST = 2**63 - 1  # bigint


class Page(NamedTuple):
    """Records, and the cursor of the next page; None: this is the last page."""

    rows: list[audit.Row]
    cursor: str | None


class Audit:
    """GET: list records, newest first: those about the caller's client, or all of them with the scope admin."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response) -> None:
        page = await self.read(req, req.params)
        answers.write(resp, {"items": [documents.act(row) for row in page.rows], "nextCursor": page.cursor})

    on_head = on_get

    async def read(self, req: Request, parameters: Mapping[str, Any]) -> Page:
        """Return the page that these parameters ask for; raise Problem."""
        caller: Caller = req.context.caller
        owner = None if "admin" in caller.scopes else require(req, "manage").client_id
        query = pagination.parse(parameters, _PARSERS)
        page = await self._store.read(audit.page, owner, query.filters, query.after, query.limit)
        return Page(page.rows, pagination.encoded(str(page.before)) if page.before else None)


def _before(raw: str) -> int:
    try:
        return pagination.number(pagination.decoded(raw), LARGEST)
    except Wrong:
        raise Wrong(pagination.NOT_OURS) from None


def _act(raw: str) -> str:
    if not (raw.isascii() and 1 <= len(raw) <= 100 and raw.isprintable()):
        raise Wrong("must be an act such as key.created")
    return raw


_PARSERS = {
    "act": _act,
    "actor": pagination.one_of(audit.ACTORS),
    "keyId": lambda raw: pagination.number(raw, LARGEST),
    "createdFrom": pagination.time,
    "createdTo": pagination.time,
    "cursor": _before,
}
