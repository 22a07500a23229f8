"""Connection of a client: uvicorn's protocol, with limits for the head of a request and an orderly stop.

States of a connection:

    head      from the connection, or the first byte after an answer, to the end of a request's head; it is limited by
              HEAD_TIMEOUT and HEAD_LIMIT bytes
    request   from there to the end of the answer; the application limits the body (bodies.py)
    idle      after an answer; uvicorn's keep-alive timer runs
    refused   the head was too large or not HTTP, and the refusal was sent; input is dropped for LINGER_TIMEOUT
"""

from __future__ import annotations

import asyncio
from random import getrandbits
from typing import Any

import httptools
import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

import settings
from api.http import heads
from api.http.asgi import CUT, LINGER_LIMIT, LINGER_TIMEOUT, ON_STOP, WHOLE
from api.http.joined_writes import JoinedWrites
from api.http.problems import title
from api.http.targets import REFUSED, TARGET
from runtime import logs

VERSIONS = ("1.1", "1.0")
CUT_GRACE = 5.0  # seconds
STOP_LINGER = 1.0  # seconds
STOPPING = "notification-system.stopping"  # in the state that all connections share: whether the server is stopping


_HEAD = (
    b"HTTP/1.1 %d %b\r\nContent-Type: application/problem+json\r\nX-Request-ID: %b\r\n"
    b"Cache-Control: no-store\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
)

log = logs.get("api")


def stop_linger(within: float | None) -> float:
    """Return the seconds that a connection without a request stays open at a stop: its request may be on the way.

    `within`: seconds that a stop may take before uvicorn cancels what is left; None if they are not limited.
    """
    return STOP_LINGER if within is None else min(STOP_LINGER, within / 2)


class Connection(HttpToolsProtocol):
    """Protocol of one connection. Use it on the event loop only."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timer for the first head."""
        super().connection_made(JoinedWrites(transport, self.loop))  # type: ignore[arg-type]
        self._settings = settings.load()
        self._deadline: asyncio.TimerHandle | None = None
        self._pending = 0  # bytes received since the last complete head or body
        self._in_body = self._refused = False
        allowed = tuple(self.config.forwarded_allow_ips)
        self._behind_proxy = self.client is None or heads.is_trusted(self.client[0], allowed)
        self._allow(self._stop_linger if STOPPING in self.app_state else self._settings.http.head_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        super().connection_lost(exc)
        self._disarm()

    def data_received(self, data: bytes) -> None:
        """Limit the bytes that arrive while no request is being answered, and those of pipelined requests."""
        self._pending += len(data)
        if self._refused:
            if self._pending > LINGER_LIMIT:
                self.transport.close()
            return
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None
        self._parse(data)
        if (self._answering and (self._in_body or self._pending <= heads.HEAD_LIMIT)) or self.transport.is_closing():
            return
        if self._pending > heads.HEAD_LIMIT:
            self._refuse(heads.HEAD_TOO_LARGE if self.headers else heads.TARGET_TOO_LONG)
            if self._answering:
                self.flow.pause_reading()
        elif self._deadline is None:
            self._allow(self._settings.http.head_timeout)

    def on_headers_complete(self) -> None:
        """Check a complete head, and pass the request to the application."""
        if self.parser.should_upgrade():  # The parser stops after the head, and _parse handles it.
            return
        if self.parser.get_http_version() not in VERSIONS:
            raise ValueError
        self._disarm()
        target, fields, large = self.url, self.headers, self._pending > heads.HEAD_LIMIT
        self._pending, self._in_body = 0, True
        names = {name for name, _ in fields}
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]
        if found := heads.fault(target, fields, names, large=large):
            scope[REFUSED] = found
            self.url = b"/"
        elif not heads.PLAIN_TARGET.fullmatch(target):
            scope[TARGET], self.url = target, b"/"
        if heads.PROXY_SCHEME in names and self._behind_proxy and heads.is_https(fields):
            scope["scheme"] = "https"
        scope[CUT] = self.cut
        super().on_headers_complete()
        if STOPPING in self.app_state:  # Close after this answer.
            super().shutdown()

    def on_message_complete(self) -> None:
        """Record that the whole request has arrived."""
        if self.parser.should_upgrade():
            return
        super().on_message_complete()
        self._pending, self._in_body = 0, False
        self.scope[WHOLE] = True  # type: ignore[literal-required]
        if self.cycle.response_complete:  # It was answered before its body had arrived.
            self._allow(self.timeout_keep_alive)

    def cut(self, last: bytes) -> None:
        """End a streamed answer whose client reads nothing: write `last`, and close after CUT_GRACE."""
        if self.transport.is_closing():
            return
        self.transport.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(last), last))
        self.transport.close()
        self.loop.call_later(CUT_GRACE, self.transport.abort)

    def shutdown(self) -> None:
        """Tell the application that the server is stopping, and close unless a request is, or may be, in progress."""
        if STOPPING not in self.app_state:
            self.app_state[STOPPING] = True
            for stop in self.app_state.get(ON_STOP, ()):
                stop()
        if self._last_request is None and not self._refused:
            self._allow(self._stop_linger)
        else:
            super().shutdown()

    @property
    def _stop_linger(self) -> float:
        return stop_linger(self.config.timeout_graceful_shutdown)

    @property
    def _answering(self) -> bool:
        last = self._last_request
        return last is not None and not last.response_complete

    @property
    def _last_request(self) -> RequestResponseCycle | None:
        return self.cycle  # None at first, which uvicorn's annotation lacks

    def _parse(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._pass_over_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            too_large = "Content-Length overflow" in str(error)
            self._refuse(heads.BODY_TOO_LARGE if too_large else heads.MALFORMED)

    def _pass_over_upgrade(self, rest: bytes) -> None:
        """Parse the request again without its Upgrade field, or refuse it.

        With the field the parser would mistake the body for another protocol.
        """
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._refuse(heads.MALFORMED if self.url.startswith(b"/") else heads.NO_TUNNEL)
        elif any(name == b"upgrade" and value.lower() == b"websocket" for name, value in self.headers):
            self._refuse(heads.NO_WEBSOCKET)
        else:
            head = heads.without_upgrade(method, self.url, self.parser.get_http_version(), self.headers)
            self.parser = httptools.HttpRequestParser(self)
            self._parse(head + rest)

    def _refuse(self, fault: heads.Fault) -> None:
        """Answer in place of the application, and let the client read the answer before the connection closes.

        If an answer has begun, or the request of the next one is complete, close after that answer instead.
        """
        if self._answering and (self.pipeline or not self._in_body or self.cycle.response_started):
            super().shutdown()
            return
        if self._in_body and not self._answering:  # The rest of a body whose request was answered.
            self.transport.close()
            return
        status = fault.status
        problem = {"type": "about:blank", "title": title(status), "status": status, "detail": fault.detail}
        body = orjson.dumps(problem, option=orjson.OPT_APPEND_NEWLINE)
        request_id = f"{getrandbits(128):032x}"
        log.info("request.malformed", request_id=request_id, status=status, reason=fault.detail)
        self.transport.write(_HEAD % (status, title(status).encode(), request_id.encode(), len(body)) + body)
        if self._answering:  # The application waits for the body: let it learn that the client is gone.
            self.transport.close()
            return
        self.transport.write_eof()
        self._refused, self._pending = True, 0
        self._allow(LINGER_TIMEOUT)

    def _allow(self, seconds: float) -> None:
        self._disarm()
        self._deadline = self.loop.call_later(seconds, self.transport.close)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
