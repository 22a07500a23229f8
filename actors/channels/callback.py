"""The callback channel: signed POSTs to the clients' own endpoints (Standard Webhooks).

An endpoint that has just let a POST time out is left alone for CALLBACK_REST: what comes for it
meanwhile is deferred without a try, so that it holds up one thread in a while and not all of them.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing

import logs
from actors.channels import AtMost, Deferred, Receipt, Refused, Uncertain, Undelivered, printable
from actors.channels.post import Answer, Broken, Request, post
from actors.channels.signature import headers
from actors.channels.target import Lookup, NotPublic, Target, Unfit, resolve
from db import callbacks
from db.callbacks import Signing
from db.coalesce import Coalescer
from db.database import Unavailable, connection, database
from db.records import Claimed
from settings import Settings

log = logs.get("callback")

LOOKED_UP_AT_ONCE = 64  # endpoints in one statement: as many as there may be threads
GONE = 410
# The same for both, or a client would learn which names there are in the network of the workers.
_NOWHERE = "the URL leads to an address that is not public, or to none: its host may have no address in the DNS"
_HEADERS = {"Content-Type": "application/json", "User-Agent": "notification-system"}


class Callback:
    """Sends to the endpoint of each callback, as that is at this moment."""

    provider = "callback"

    limits = AtMost(50)
    idle = 5.0

    def sender(self):
        return self

    def __init__(self, settings: Settings, look_up: Lookup = resolve, context: ssl.SSLContext | None = None) -> None:
        self._settings, self._look_up = settings, look_up
        self._networks = settings.callback_networks
        self._context = context or ssl.create_default_context()
        self._rests = _Rests(settings)
        self._endpoints: Coalescer[int, Signing | None] = Coalescer(
            "endpoint", _signing, most=LOOKED_UP_AT_ONCE, waiting=settings.ring_waiting
        )

    def send(
        self,
        notification: Claimed,
        begin: Callable[[], bool] = lambda: True,
        contents: Sequence[bytes] = (),
        following: Claimed | None = None,
    ) -> Receipt:
        id = notification.callback_id or 0
        endpoint = self._endpoint(id)
        if self._rests.resting(id):
            raise Deferred("not tried: this endpoint has just not answered in time", phase="rest")
        try:
            answer = self._post(notification, endpoint, begin)
        except Broken as broken:
            self._rests.heard(id, timed_out=broken.timed_out)
            raise _undelivered(broken) from None
        except Undelivered:
            self._rests.heard(id, timed_out=False)
            raise
        self._rests.heard(id, timed_out=False)
        return self._judge(id, answer)

    def hang_up(self) -> None:
        """No connection is kept: the endpoints are many, and each has to be looked up anew."""

    def close(self) -> None:
        """The process stops."""
        self._endpoints.close(self._settings.shutdown_grace)

    def _endpoint(self, id: int) -> Signing:
        try:
            endpoint = self._endpoints.submit(id).result()
        except Unavailable as error:
            raise Deferred(f"the endpoint could not be looked up: {error}", phase="prepare") from None
        if endpoint is None:
            raise Refused("the endpoint was deleted", phase="prepare")
        if endpoint.disabled:
            raise Refused("the endpoint is disabled", phase="prepare")
        return endpoint

    def _post(self, notification: Claimed, endpoint: Signing, begin: Callable[[], bool]) -> Answer:
        until = time.monotonic() + self._settings.callback_timeout
        try:
            target = Target.parse(endpoint.url, self._networks)
            addresses = target.addresses(self._look_up, self._networks, until)
        except NotPublic:
            raise Deferred(_NOWHERE, phase="resolve") from None
        except Unfit as unfit:
            raise Deferred(f"the URL {unfit}", phase="resolve") from None
        except TimeoutError:
            raise Broken("resolve", "the name was not resolved in time", timed_out=True) from None
        except (OSError, UnicodeError):
            raise Deferred(_NOWHERE, phase="resolve") from None
        if not begin():
            raise Deferred("another worker has taken this over", phase="request")
        body = notification.message.encode()
        signed = headers(f"msg_{notification.id}", endpoint.now, body, endpoint.secrets)
        return post(Request(target, addresses, self._headers() | signed, body, until), self._context)

    def _headers(self) -> dict[str, str]:
        """What each request has, beside its signature."""
        return _HEADERS

    def _judge(self, id: int, answer: Answer) -> Receipt:
        text = printable(f"{answer.status} {answer.reason} {answer.body.decode('utf-8', 'replace')}")
        if answer.status // 100 == 2:
            return Receipt("answer", answer.status, None, text)
        if answer.status == GONE:
            _disable(id, text)
            raise Refused(text, phase="answer", reply_code=answer.status)
        raise Deferred(text, phase="answer", reply_code=answer.status)


class _Rests:
    """Which endpoints are left alone for now, each until a `time.monotonic()`."""

    def __init__(self, settings: Settings) -> None:
        self._rest, self._timeout = settings.callback_rest, settings.callback_timeout
        self._until: dict[int, float] = {}
        self._lock = threading.Lock()

    def resting(self, id: int) -> bool:
        """Whether it is left alone. When its rest is over, one may try, and the others wait for that."""
        now = time.monotonic()
        with self._lock:
            until = self._until.get(id)
            if until is None:
                return False
            if now >= until:
                self._until[id] = now + self._timeout + self._rest
            return now < until

    def heard(self, id: int, *, timed_out: bool) -> None:
        with self._lock:
            if timed_out:
                self._until[id] = time.monotonic() + self._rest
            else:
                self._until.pop(id, None)


def _signing(ids: Sequence[int]) -> Sequence[Signing | None]:
    with connection():
        found = callbacks.signing(ids)
    return [found.get(id) for id in ids]


def _disable(id: int, reason: str) -> None:
    try:
        # Threads that send keep no connection.
        with closing(database), connection():
            callbacks.gone(id, reason)
        log.warning("callback.disabled", endpoint=id)
    except Unavailable:  # It will say so again to the next callback.
        log.warning("callback.not_disabled", endpoint=id)


def _undelivered(broken: Broken) -> Undelivered:
    # Nobody can know what a server did with a request that it got and did not answer; its webhook-id tells it.
    kind = Uncertain if broken.phase in ("request", "answer") else Deferred
    return kind(printable(broken.text) or "not understood", phase=broken.phase)
