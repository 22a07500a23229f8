"""/api/export: all stored data of the caller's client, or of one recipient, as a stream of lines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Any

from falcon.asgi import Request, Response

from actors.channels.addresses import FORMS, LONGEST, address_fault, normalised
from api.access.acts import by
from api.access.auth import require
from api.http import pagination
from api.http.pagination import Wrong
from api.http.problems import invalid
from api.resources import exporting
from api.resources.exporting import Page
from api.store import NotificationStore
from db import acts, audit
from db.exports import Wanted
from runtime import logs

log = logs.get("api")


class Export:
    """GET: export as NDJSON. A page is read once the previous one was sent; no connection is held in between."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response) -> None:
        caller = require(req, "manage")
        require(req, "read")  # The export contains everything that this scope gives access to.
        given = pagination.given(req.params, _PARSERS)
        wanted = Wanted(caller.client_id, given.get("recipient"), given.get("attachments", False))
        begun = await self._begun(given.get("after"), wanted)
        told = acts.export_begun(
            caller.client_id, wanted.recipient, attachments=wanted.attachments, resumed="after" in given
        )
        await self._store.read(audit.record, by(req), told)
        log.info("export.begun", attachments=wanted.attachments)
        asked_text = req.client_prefers((exporting.MEDIA, "text/plain")) == "text/plain"
        resp.content_type = exporting.TEXT if asked_text else exporting.MEDIA
        resp.set_header("Cache-Control", "no-store")
        resp.stream = self._lines(wanted, begun)

    on_head = on_get

    async def _begun(self, after: str | None, wanted: Wanted) -> Page:
        """Return the first page, which is read before the answer begins, so that a fault can still be reported."""
        try:
            at = exporting.place(after, wanted) if after else exporting.first(wanted)
            return await self._page(wanted, at)
        except Wrong as why:
            raise invalid(HTTPStatus.BAD_REQUEST, [{"parameter": "after", "detail": str(why)}]) from None

    async def _page(self, wanted: Wanted, at: exporting.Place) -> Page:
        return await self._store.read(exporting.page, wanted, at)

    async def _lines(self, wanted: Wanted, page: Page) -> AsyncIterator[bytes]:
        count = page.rows
        if page.lines:
            yield page.lines
        while page.next_place is not None:
            page = await self._page(wanted, page.next_place)
            count += page.rows
            if page.lines:
                yield page.lines
        yield exporting.end(count)


def _recipient(raw: str) -> str:
    if len(raw) > LONGEST or "\0" in raw or "\ufffd" in raw or address_fault(raw):
        raise Wrong(f"must be {FORMS}")
    return normalised(raw)


def _yes(raw: str) -> Any:
    return pagination.one_of(("true", "false"))(raw) == "true"


_PARSERS: dict[str, Callable[[str], Any]] = {"recipient": _recipient, "attachments": _yes, "after": str}
