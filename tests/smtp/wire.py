"""The bytes of one connection."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import cast


class Wire(asyncio.Protocol):
    """One connection. Unlike a StreamReader it knows at once that the client is gone, read or not."""

    def __init__(self, serve: Callable[[Wire], Awaitable[None]]) -> None:
        self._serve = serve
        self._arrived = bytearray()
        self._news = asyncio.Event()
        self._session: asyncio.Task[None] | None = None
        self.gone = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the session; TLS calls this a second time."""
        self._transport = cast(asyncio.Transport, transport)
        if self._session is None:
            self._session = asyncio.ensure_future(self._run())

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        self._arrived += data
        self._news.set()

    def eof_received(self) -> None:
        """The client closed its end; a client that only half closes is not worth simulating."""
        self.connection_lost(None)

    def connection_lost(self, _exc: Exception | None) -> None:
        """Wake whoever reads."""
        self.gone = True
        self._news.set()

    async def line(self) -> bytes:
        """The next line with its line end; raises ConnectionError where the client is gone."""
        while (end := self._arrived.find(b"\n")) < 0:
            await self.news()
        line = bytes(self._arrived[: end + 1])
        del self._arrived[: end + 1]
        return line

    async def news(self) -> None:
        """Wait for bytes; raises ConnectionError where the client is gone."""
        if self.gone:
            raise ConnectionResetError
        self._news.clear()
        await self._news.wait()

    def write(self, data: bytes) -> None:
        """Send, unless the client is gone."""
        if not self.gone:
            self._transport.write(data)

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Turn to TLS, forgetting what came in clear behind the command (RFC 3207, section 6)."""
        self._arrived.clear()
        loop = asyncio.get_running_loop()
        try:
            transport = await loop.start_tls(self._transport, self, context, server_side=True)
        except (ssl.SSLError, OSError) as error:
            raise ConnectionResetError from error
        if transport is None:
            raise ConnectionResetError
        self._transport = transport

    def close(self) -> None:
        """Close after what was written has gone out."""
        self._transport.close()

    async def stop(self) -> None:
        """End the session, if TLS ever let it begin, and close the connection at once."""
        if self._session is not None:
            self._session.cancel()
            await asyncio.gather(self._session, return_exceptions=True)
            self._transport.abort()

    async def _run(self) -> None:
        try:
            await self._serve(self)
        except ConnectionError:  # The client, or the script, ended it.
            pass
        finally:
            self.close()
