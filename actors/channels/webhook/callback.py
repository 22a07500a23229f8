"""Callback channel: signed POST requests to the clients' own endpoints (Standard Webhooks)."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from contextlib import closing

from actors.channels import AtMost, Begin, Deferred, Receipt, Refused, always, printable
from actors.channels.webhook.http_client import Answer, Request
from actors.channels.webhook.name_resolver import Lookup, look_up
from actors.channels.webhook.posting import AT_A_TIME, Posting, looked_up
from actors.channels.webhook.signature import headers
from actors.queue.wake_up import WAITING
from db import callbacks
from db.callbacks import Signing
from db.coalesce import Coalescer
from db.database import Unavailable, connection, database
from db.records import Claimed
from runtime import logs
from settings import Settings

log = logs.get("callback")

LOOKED_UP_AT_ONCE = 64  # endpoints per statement
GONE = 410
_HEADERS = {"Content-Type": "application/json", "User-Agent": "notification-system"}


class Callback:
    """Channel that sends each callback to its endpoint as currently configured. It belongs to one event loop."""

    provider = "callback"
    limits = AtMost(AT_A_TIME)
    idle = 5.0  # seconds
    pipelines = False

    def __init__(self, settings: Settings, look_up: Lookup = look_up, context: ssl.SSLContext | None = None) -> None:
        self._settings = settings
        self._posting = Posting("endpoint", settings, look_up, context)
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
        async with self._posting.turn(id):
            answer = await self._posting.post(_request(notification, await self._endpoint(id)), begin)
        return await self._judge(id, answer)

    async def hang_up(self) -> None:
        """Do nothing: there is no connection to close."""

    def ready(self, notification: Claimed) -> bool:
        """Return False if the endpoint has its maximum of requests: a slow endpoint must not delay the others."""
        return self._posting.is_free(notification.callback_id or 0)

    async def start(self) -> None:
        """Do nothing: there is nothing to prepare."""

    def stop(self) -> None:
        """Do nothing: nothing takes long."""

    async def close(self) -> None:
        """Close the HTTP client and the look-up of endpoints."""
        await self._posting.close()
        await asyncio.to_thread(self._endpoints.close, self._settings.process.shutdown_grace)

    async def _endpoint(self, id: int) -> Signing:
        endpoint = await looked_up("endpoint", self._endpoints, id)
        if endpoint.disabled:
            raise Refused("the endpoint is disabled", phase="prepare")
        return endpoint

    async def _judge(self, id: int, answer: Answer) -> Receipt:
        text = printable(f"{answer.status} {answer.reason} {answer.body.decode('utf-8', 'replace')}")
        if answer.status // 100 == 2:
            return Receipt("answer", answer.status, None, text)
        if answer.status == GONE:
            await asyncio.to_thread(_disable, id, text)
            raise Refused(text, phase="answer", reply_code=answer.status)
        raise Deferred(text, phase="answer", reply_code=answer.status)


def _request(notification: Claimed, endpoint: Signing) -> Request:
    body = notification.message.encode()
    signed = headers(f"msg_{notification.id}", endpoint.now, body, endpoint.secrets)
    return Request(endpoint.url, _HEADERS | signed, body)


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
