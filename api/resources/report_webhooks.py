"""/api/reports/{provider}: webhooks of mail providers, which tell what became of mails.

A request needs no key: it proves by its signature or secret that it comes from the provider. It is stored before the
answer, and a worker reads it later.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from http import HTTPStatus
from typing import NoReturn

from falcon.asgi import Request, Response

from actors.reports.event import Event
from actors.reports.providers import Forged, Malformed, Received, Unavailable, Webhooks
from actors.reports.providers.fetching import fetch
from actors.reports.stored_events import to_json
from api.http.answers import write
from api.http.bodies import read
from api.http.problems import Problem
from api.store import NotificationStore
from db import incoming_reports
from db.incoming_reports import Incoming
from runtime import logs, metrics
from settings.report_source import ReportSource

log = logs.get("api")

LIMIT = 1_000_000  # bytes
NOTED_EVERY = 10.0  # seconds between two records of rejected requests, so that forgers do not keep the database busy


class ReportWebhook:
    """POST: store the events in a request of a provider."""

    def __init__(self, store: NotificationStore) -> None:
        self._store, self._webhooks = store, Webhooks(fetch)
        own = store.settings.smtp.provider
        configured = (*store.settings.named_providers, *([own] if own else []))
        self._sources: dict[str, ReportSource] = {one.name: one.reports for one in configured if one.reports}
        for name in self._sources:  # The series begins at 0, so that an increase is seen.
            _ = metrics.report_rejections[name]
        self._rejected: dict[str, int] = {}
        self._noted_at = float("-inf")

    async def on_post(self, req: Request, resp: Response, provider: str) -> None:
        source = self._sources.get(provider)
        if source is None:
            detail = "There is no provider with this name that has the option `reports` in its URL."
            raise Problem(HTTPStatus.NOT_FOUND, detail)
        body = await read(req, self._store.settings.http, LIMIT)
        try:
            events = await self._webhooks.receive(self._received(req, body), source)
        except Forged as forged:
            await self._reject(provider, str(forged))
        except Malformed as malformed:
            await self._store.read(incoming_reports.keep_unreadable, provider, body)
            log.warning("report.malformed", provider=provider, reason=str(malformed))
            raise Problem(
                HTTPStatus.BAD_REQUEST, f"The request is not as the provider documents: {malformed}"
            ) from None
        except Unavailable as error:
            headers = {"Retry-After": "10"}
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, f"{str(error).capitalize()}.", headers=headers) from None
        if events:
            await self._keep(provider, body, events)
        write(resp, {"events": len(events)})

    async def _keep(self, provider: str, body: bytes, events: list[Event]) -> None:
        incoming = Incoming(provider, body, None, [to_json(event) for event in events])
        id = await self._store.read(incoming_reports.store, incoming)
        log.info("report.stored", report=id, source=provider, size=len(body))

    def _received(self, req: Request, body: bytes) -> Received:
        path = f"{req.path}?{req.query_string}" if req.query_string else req.path
        url = f"{self._store.settings.public.url.rstrip('/')}{path}"
        return Received(req.headers, body, url, datetime.now(UTC))

    async def _reject(self, provider: str, reason: str) -> NoReturn:
        """Count a request that proves nothing, and refuse it."""
        metrics.report_rejections[provider].inc()
        log.warning("report.rejected", provider=provider, reason=reason)
        self._rejected[provider] = self._rejected.get(provider, 0) + 1
        if time.monotonic() - self._noted_at >= NOTED_EVERY:
            self._noted_at, rejected, self._rejected = time.monotonic(), self._rejected, {}
            await self._store.read(incoming_reports.note_rejected, rejected, reason)
        raise Problem(HTTPStatus.FORBIDDEN, "The request does not prove that it comes from the provider.")
