"""Connector for one request at a time to a provider's API. It knows how much of the request has left this process."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

from aiohttp import TCPConnector, TraceConfig, TraceRequestChunkSentParams
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection

from actors.channels import Begin, always
from actors.channels.http_begin import begin_over

KEPT = 10.0  # seconds; an older connection is not used again, because the provider may be about to close it


class ApiConnector(TCPConnector):
    """Connector that keeps one connection. It ends a request that takes too long.

    A request goes out in chunks. aiohttp reports each chunk before it writes it, and knows from the transport whether
    written bytes wait to be sent. The last byte has left if all chunks were written and nothing waits.
    """

    def __init__(self, context: ssl.SSLContext, timeout: float, connect_timeout: float) -> None:
        super().__init__(limit=1, ssl=context, keepalive_timeout=KEPT)
        self._timeout, self._connect_timeout = timeout, connect_timeout
        self._timer: asyncio.TimerHandle | None = None
        self.trace = TraceConfig()
        self.trace.on_request_chunk_sent.append(self._count)
        self.expect(0, always)

    def expect(self, length: int, begin: Begin) -> None:
        """Prepare for the next request, whose body has `length` bytes."""
        self._unwritten, self._begin, self._begun = length, begin, False
        self._handler: ResponseHandler | None = None
        self.late: tuple[str, bool] | None = None  # `phase` and `may_have_arrived` when the time-out ended the request

    def answered(self) -> None:
        """Stop the clock of the time-out."""
        if self._timer is not None:
            self._timer.cancel()

    @property
    def may_have_arrived(self) -> bool:
        """True if the operating system may have taken all bytes of the request."""
        handler = self._handler
        return handler is not None and self._begun and self._unwritten <= 0 and not handler.writing_paused

    @property
    def phase(self) -> str:
        """Phase that the request has reached: connect, request or answer."""
        if self._handler is None:
            return "connect"
        return "answer" if self.may_have_arrived else "request"

    async def connect(self, *args: Any, **kwargs: Any) -> Connection:
        """Connect or take the connection that is kept, and await `begin` before anything is sent."""
        connection = await self._obtain(*args, **kwargs)
        await begin_over(connection, self._begin)
        self._begun = True
        # It begins here: `begin` may wait for the database, which is no fault of the provider. A timer and no
        # asyncio.timeout: that would end the connection, which tells how far the request has come.
        self._timer = asyncio.get_running_loop().call_later(self._timeout, self._give_up)
        await asyncio.sleep(0)  # The loop looks at the connection once more.
        if connection.transport is not None and not connection.transport.is_closing():
            return connection
        # The provider has closed it while `begin` waited. Nothing was sent, so another one may be used.
        connection.close()
        return await self._obtain(*args, **kwargs)

    def abort(self) -> None:
        """Drop the connection at once; a graceful shutdown would wait for the other side."""
        if self._handler is not None:
            self._handler.abort()

    async def _obtain(self, *args: Any, **kwargs: Any) -> Connection:
        self._handler = None
        async with asyncio.timeout(self._connect_timeout):
            connection = await super().connect(*args, **kwargs)
        if connection.transport is not None:
            # Report a pause if a single byte waits. (With 0, TLS transports would report one without any.)
            connection.transport.set_write_buffer_limits(high=1, low=0)
        self._handler = connection.protocol
        return connection

    def _give_up(self) -> None:
        self.late = self.phase, self.may_have_arrived
        if self._handler is not None and self._handler.transport is not None:
            self._handler.transport.abort()

    async def _count(self, _session: object, _context: object, chunk: TraceRequestChunkSentParams) -> None:
        transport = self._handler.transport if self._handler is not None else None
        if transport is not None and not transport.is_closing():  # Otherwise the chunk will not be written.
            self._unwritten -= len(chunk.chunk)
