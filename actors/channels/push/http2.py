"""HTTP/2 client for one server: one connection carries all requests, and is opened again when it is lost."""

from __future__ import annotations

import asyncio
import ssl
import time
from urllib.parse import urlsplit

from actors.channels import Begin
from actors.channels.email.connecting import connect
from actors.channels.http_api import Answer, NoAnswer, Request
from actors.channels.http_begin import TakenOver
from actors.channels.push.http2_connection import Http2Connection
from actors.channels.push.http2_stream import NotProcessed

IDLE = 60.0  # seconds; a connection that was idle for longer is tested by a PING
PING_TIMEOUT = 5.0  # seconds


class Http2Client:
    """Client of one event loop. `url`: where the server is; with http:// it is spoken to without TLS.

    It follows no redirects, uses no proxy, keeps no cookies, and verifies TLS.
    """

    def __init__(self, url: str, timeout: float, connect_timeout: float, context: ssl.SSLContext) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        self._context = context if parts.scheme == "https" else None
        if self._context is not None:
            self._context.set_alpn_protocols(["h2"])
        self._timeout, self._connect_timeout = timeout, connect_timeout
        self._connection: Http2Connection | None = None
        self._connecting = asyncio.Lock()

    async def post(self, request: Request, begin: Begin) -> Answer:
        """POST once. `begin` is awaited just before the request is sent; if it returns False, nothing is sent.

        Raises:
            TakenOver: `begin` returned False.
            NotProcessed: The server says that it has done nothing with it.
            NoAnswer: There is no answer, within the time-out or at all.
        """
        connection = await self._reserve()
        try:
            if not await begin():
                raise TakenOver
        finally:
            connection.release()
        if not connection.usable:  # The server has closed it while `begin` waited. Nothing was sent.
            connection = await self._reserve()
            connection.release()
        return await self._answer(connection, request)

    async def close(self) -> None:
        """Close the connection at once."""
        if self._connection is not None:
            self._connection.abort()
            self._connection = None

    async def _reserve(self) -> Http2Connection:
        """Return a connection with a place for one more stream."""
        until = time.monotonic() + self._connect_timeout
        try:
            async with asyncio.timeout(self._connect_timeout + self._timeout):
                while True:
                    connection = await self._connected(until)
                    if await connection.reserve():
                        return connection
        except TimeoutError:
            raise NotProcessed("the server accepts no more streams at the moment") from None

    async def _answer(self, connection: Http2Connection, request: Request) -> Answer:
        stream = connection.request(request)
        try:
            async with asyncio.timeout(self._timeout):
                return await asyncio.shield(stream.answer)
        except TimeoutError:
            connection.retire()  # It may be dead without a sign.
            phase = "answer" if stream.sent else "request"
            raise NoAnswer(phase, "no answer in time", may_have_arrived=stream.sent) from None
        finally:
            connection.cancel(stream)

    async def _connected(self, until: float) -> Http2Connection:
        async with self._connecting:
            if self._connection is not None and self._connection.usable:
                if asyncio.get_running_loop().time() - self._connection.used_at < IDLE:
                    return self._connection
                if await _alive(self._connection):
                    return self._connection
            self._connection = await self._connect(until)
            return self._connection

    async def _connect(self, until: float) -> Http2Connection:
        left = max(0.001, until - time.monotonic())
        try:
            opened = await connect(self._host, self._port, timeout=left)
        except OSError as error:
            raise NoAnswer("connect", str(error), may_have_arrived=False) from None
        connection = Http2Connection()
        try:
            async with asyncio.timeout(max(0.001, until - time.monotonic())):
                await asyncio.get_running_loop().create_connection(
                    lambda: connection,
                    sock=opened,
                    ssl=self._context,
                    server_hostname=self._host if self._context else None,
                )
                await connection.ready
                return connection
        except (OSError, NotProcessed) as error:
            connection.abort()
            raise NoAnswer("tls", _explained(error), may_have_arrived=False) from None


async def _alive(connection: Http2Connection) -> bool:
    try:
        async with asyncio.timeout(PING_TIMEOUT):
            await connection.ping()
    except (TimeoutError, NotProcessed):
        connection.abort()
        return False
    return True


def _explained(error: Exception) -> str:
    """Return why there is no HTTP/2 over a connection."""
    match error:
        case TimeoutError():
            return "no HTTP/2 in time"
        case ssl.SSLCertVerificationError(verify_message=message):
            return f"the server's certificate is not accepted: {message}"
        case ssl.SSLError():
            return "the TLS handshake failed"
    return "the server closed the connection before it spoke HTTP/2"
