"""Callback channel: signed POST requests to the clients' own endpoints (Standard Webhooks)."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from contextlib import closing

from actors import spans
from actors.channels import AtMost, Begin, Deferred, Receipt, Refused, Uncertain, Undelivered, always, printable
from actors.channels.webhook.endpoint_fairness import EndpointLimits
from actors.channels.webhook.http_client import Answer, HttpClient, HttpError, Request
from actors.channels.webhook.name_resolver import Lookup, look_up
from actors.channels.webhook.signature import headers
from actors.channels.webhook.url_guard import NotPublic, UrlRejected
from actors.queue.wake_up import WAITING
from db import callbacks
from db.callbacks import Signing
from db.coalesce import Closed, Coalescer, Full
from db.database import Unavailable, connection, database
from db.records import Claimed
from runtime import logs, tracing
from settings import Settings

log = logs.get("callback")

LOOKED_UP_AT_ONCE = 64  # endpoints per statement
AT_A_TIME = 50  # concurrent requests of one process
GONE = 410
# One text for both cases: two would tell a client which names exist in the network of the workers.
_NOWHERE = "the host of the URL has no address in the DNS, or one that is not public"
_HEADERS = {"Content-Type": "application/json", "User-Agent": "notification-system"}


class Callback:
    """Channel that sends each callback to its endpoint as currently configured. It belongs to one event loop."""

    provider = "callback"
    limits = AtMost(AT_A_TIME)
    idle = 5.0  # seconds
    pipelines = False

    def __init__(self, settings: Settings, look_up: Lookup = look_up, context: ssl.SSLContext | None = None) -> None:
        self._settings = settings
        self._http = HttpClient(settings.callbacks.networks, settings.callbacks.timeout, look_up, context)
        self._limits = EndpointLimits(settings)
        self._endpoints: Coalescer[int, Signing | None] = Coalescer(
            "endpoint", _signing, most=LOOKED_UP_AT_ONCE, waiting=WAITING
        )

    def sender(self) -> Callback:
        """Return itself: no connection is kept, because there are many endpoints and each is looked up again."""
        return self

    async def send(
        self,
        notification: Claimed,
        begin: Begin = always,
        contents: Sequence[bytes] = (),
        next_notification: Claimed | None = None,
    ) -> Receipt:
        id = notification.callback_id or 0
        async with self._limits.turn(id):
            try:
                answer = await self._post(notification, await self._endpoint(id), begin)
            except (HttpError, UrlRejected) as error:
                self._limits.record(id, timed_out=isinstance(error, HttpError) and error.timed_out)
                raise _undelivered(error) from None
            except Undelivered:
                self._limits.record(id, timed_out=False)
                raise
            self._limits.record(id, timed_out=False)
        return await self._judge(id, answer)

    async def hang_up(self) -> None:
        """Do nothing: there is no connection to close."""

    def ready(self, notification: Claimed) -> bool:
        """Return False if the endpoint has its maximum of requests: a slow endpoint must not delay the others."""
        return self._limits.is_free(notification.callback_id or 0)

    async def start(self) -> None:
        """Do nothing: there is nothing to prepare."""

    def stop(self) -> None:
        """Do nothing: nothing takes long."""

    async def close(self) -> None:
        """Close the HTTP client and the look-up of endpoints."""
        await self._http.close()
        await asyncio.to_thread(self._endpoints.close, self._settings.process.shutdown_grace)

    async def _endpoint(self, id: int) -> Signing:
        try:
            endpoint = await self._endpoints.ask(id)
        except (Unavailable, Full, Closed) as error:
            raise Deferred(f"the endpoint could not be looked up: {error}", phase="prepare") from None
        if endpoint is None:
            raise Refused("the endpoint was deleted", phase="prepare")
        if endpoint.disabled:
            raise Refused("the endpoint is disabled", phase="prepare")
        return endpoint

    async def _post(self, notification: Claimed, endpoint: Signing, begin: Begin) -> Answer:
        body = notification.message.encode()
        signed = headers(f"msg_{notification.id}", endpoint.now, body, endpoint.secrets)
        with spans.post(endpoint.url) as span:
            request = Request(endpoint.url, _HEADERS | tracing.headers(span) | signed, body)
            answer = await self._http.post(request, begin)
            spans.responded(span, answer.status)
            return answer

    async def _judge(self, id: int, answer: Answer) -> Receipt:
        text = printable(f"{answer.status} {answer.reason} {answer.body.decode('utf-8', 'replace')}")
        if answer.status // 100 == 2:
            return Receipt("answer", answer.status, None, text)
        if answer.status == GONE:
            await asyncio.to_thread(_disable, id, text)
            raise Refused(text, phase="answer", reply_code=answer.status)
        raise Deferred(text, phase="answer", reply_code=answer.status)


def _signing(ids: Sequence[int]) -> Sequence[Signing | None]:
    with connection():
        found = callbacks.signing(ids)
    return [found.get(id) for id in ids]


def _disable(id: int, reason: str) -> None:
    try:
        # This runs in a thread pool whose threads keep no connection.
        with closing(database), connection():
            callbacks.gone(id, reason)
        log.warning("callback.disabled", endpoint=id)
    except Unavailable:  # The endpoint will answer 410 to the next callback, too.
        log.warning("callback.not_disabled", endpoint=id)


def _undelivered(error: HttpError | UrlRejected) -> Undelivered:
    if isinstance(error, UrlRejected):
        return Deferred(_NOWHERE if isinstance(error, NotPublic) else f"the URL {error}", phase="resolve")
    if error.phase == "resolve" and not error.timed_out:
        return Deferred(_NOWHERE, phase="resolve")
    # The server may have processed a request that it did not answer. A retry has the same webhook-id, which tells it.
    kind = Uncertain if error.may_have_arrived else Deferred
    return kind(printable(error.text) or "the answer cannot be read", phase=error.phase)
