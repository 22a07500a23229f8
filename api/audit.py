"""/api/audit: the audit log, which records who did what to whose data."""

from __future__ import annotations

from falcon.asgi import Request, Response

from api import answers, documents, pages
from api.auth import Caller, require
from api.gateway import Gateway
from api.pages import Wrong
from db import audit

LARGEST = 2**63 - 1  # bigint


class Audit:
    """GET: list records, newest first: those about the caller's client, or all of them with the scope admin."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def on_get(self, req: Request, resp: Response) -> None:
        caller: Caller = req.context.caller
        owner = None if "admin" in caller.scopes else require(req, "manage").client_id
        query = pages.parse(req.params, self._gateway.settings.page_limit, _PARSERS)
        page = await self._gateway.read(audit.page, owner, query.filters, query.after, query.limit)
        cursor = pages.encoded(str(page.before)) if page.before else None
        answers.write(resp, {"items": [documents.act(row) for row in page.rows], "nextCursor": cursor})

    on_head = on_get


def _before(raw: str) -> int:
    try:
        return pages.number(pages.decoded(raw), LARGEST)
    except Wrong:
        raise Wrong(pages.NOT_OURS) from None


def _act(raw: str) -> str:
    if not (raw.isascii() and 1 <= len(raw) <= 100 and raw.isprintable()):
        raise Wrong("must be an act such as key.created")
    return raw


_PARSERS = {
    "act": _act,
    "actor": pages.one_of(audit.ACTORS),
    "keyId": lambda raw: pages.number(raw, LARGEST),
    "createdFrom": pages.time,
    "createdTo": pages.time,
    "cursor": _before,
}
