"""/api/reports: reports of mail systems about mails that were sent, such as bounces."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Any

from falcon.asgi import Request, Response

from api.access.auth import require, with_live_key
from api.http import pagination
from api.http.answers import shown, write
from api.http.bodies import read
from api.http.pagination import Wrong
from api.http.problems import Problem, invalid
from api.store import NotificationStore
from db import incoming_reports
from db.incoming_reports import Incoming, Json
from runtime import logs

log = logs.get("api")

MEDIA_TYPE = "message/rfc822"
LARGEST = 2**63 - 1  # bigint
_EVENT = ("kind", "recipient", "bounce_class", "code", "text")


class Reports:
    """POST: store a report that came as a mail. GET: list the reports that changed nothing, newest first."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_post(self, req: Request, resp: Response) -> None:
        """Store a report. It is committed before the answer, and a worker reads it later.

        Anybody with the scope may report anything: only a report with a token of ours changes something.
        """
        with_live_key(require(req, "send"))
        envelope = pagination.given(req.params, {"recipient": _recipient}).get("recipient")
        if (req.content_type or "").partition(";")[0].strip().lower() != MEDIA_TYPE:
            detail = f"Send the report as it arrived, with Content-Type: {MEDIA_TYPE}."
            raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail)
        settings = self._store.settings.http
        body = await read(req, settings, settings.body_limit)
        if not body.strip():
            raise invalid(HTTPStatus.BAD_REQUEST, [{"pointer": "", "detail": "must be a mail: the body is empty"}])
        id = await self._store.read(incoming_reports.store, Incoming("api", body, envelope))
        log.info("report.stored", report=id, source="api", size=len(body))
        write(resp, {"id": id}, HTTPStatus.ACCEPTED)

    async def on_get(self, req: Request, resp: Response) -> None:
        require(req, "admin")
        query = pagination.parse_numbered(req.params)
        found = await self._store.read(incoming_reports.unmatched, query.after or None, query.limit + 1)
        write(resp, query.page([_shown(row) for row in found]))

    on_head = on_get


def _shown(row: Json) -> dict[str, Any]:
    fields = shown({name: value for name, value in row.items() if name != "envelope"})
    return {**fields, "events": [_event(event) for event in row["events"] or ()]}


def _event(stored: Json) -> dict[str, Any]:
    at = datetime.fromisoformat(stored["at"]) if stored["at"] else None
    return {**shown({name: stored[name] for name in _EVENT}), "at": at}


def _recipient(raw: str) -> str:
    if not (1 <= len(raw) <= 1_000 and raw.isprintable()):
        raise Wrong("must be the address that the report was sent to")
    return raw
