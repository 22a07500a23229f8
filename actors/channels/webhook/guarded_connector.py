"""Connect to URLs through aiohttp's connector, with url_guard plugged into its public interface.

The resolver checks every address of a name. The socket factory checks each address again when its socket is made; this
includes addresses written in the URL itself, for which aiohttp calls no resolver.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from typing import Any

from aiohttp import AddrInfoType, TCPConnector
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import Connection

from actors.channels import Begin
from actors.channels.http_begin import begin_over
from actors.channels.webhook.name_resolver import NameResolver
from actors.channels.webhook.url_guard import Target
from settings.callbacks import Network

ANSWER_LIMIT = 131_072  # bytes of an answer that are read, head included: some servers have long heads
LINES = 1_000  # lines of an answer that are read one by one; a head with so many lines is refused


class GuardedConnector(TCPConnector):
    """Connector for a single request to `target`.

    It keeps no connection and caches no address, so that the guard checks the current address for each request. A
    connection that is kept alive could be used after its address is no longer allowed.
    """

    def __init__(
        self, target: Target, allowed: Sequence[Network], names: NameResolver, context: ssl.SSLContext, begin: Begin
    ) -> None:
        super().__init__(
            resolver=_GuardedResolver(target, allowed, names),
            socket_factory=self._open,
            ssl=context,
            use_dns_cache=False,
            force_close=True,
        )
        self.target, self._allowed, self._begin = target, allowed, begin
        self._sockets: list[socket.socket] = []
        self._bounded: _BoundedProtocol | None = None
        self.begun = False  # once True, the request may have arrived

    @property
    def phase(self) -> str:
        """Phase that the request has reached: resolve, connect, tls, request or answer."""
        if self._bounded:
            return "answer" if self.begun and self._bounded.written else "request"
        if self.target.scheme == "https" and any(map(_is_connected, self._sockets)):
            return "tls"
        return "connect" if self._sockets else "resolve"

    @property
    def overflowed(self) -> bool:
        """True if the answer was cut off because it is longer than ANSWER_LIMIT."""
        return self._bounded is not None and self._bounded.overflowed

    async def connect(self, *args: Any, **kwargs: Any) -> Connection:
        """Connect, limit the bytes to read, and await `begin` before anything is sent."""
        connection = await super().connect(*args, **kwargs)
        if (transport := connection.transport) is not None:  # None if the connection is already lost.
            self._bounded = _BoundedProtocol(transport)
            transport.set_protocol(self._bounded)
        await begin_over(connection, self._begin)
        self.begun = True
        return connection

    def abort(self) -> None:
        """Drop the connection at once. A graceful shutdown would wait for the other side."""
        if self._bounded:
            self._bounded.transport.abort()

    def _open(self, address: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, where = address
        self.target.check(where[0], self._allowed)
        self._sockets.append(opened := socket.socket(family, kind, protocol))
        return opened


class _GuardedResolver(AbstractResolver):
    """Resolver that returns the addresses of a name if all of them are allowed."""

    def __init__(self, target: Target, allowed: Sequence[Network], names: NameResolver) -> None:
        self._target, self._allowed, self._names = target, allowed, names

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._names.addresses(host, port)
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "no address")
        for *_, where in found:
            self._target.check(where[0], self._allowed)
        return [
            ResolveResult(hostname=host, host=where[0], port=port, family=family, proto=protocol, flags=0)
            for family, _, protocol, _, where in found
        ]

    async def close(self) -> None:
        """Do nothing: other requests may wait for the same look-ups."""


class _BoundedProtocol(asyncio.Protocol):
    """Protocol that passes events on to the connection's original protocol, and aborts after ANSWER_LIMIT bytes."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport, self.overflowed = transport, False
        self._inner: Any = transport.get_protocol()
        self._room, self._lines = ANSWER_LIMIT, LINES

    @property
    def written(self) -> bool:
        """True if the operating system has taken the whole request."""
        return not self.transport.get_write_buffer_size()

    def data_received(self, data: bytes) -> None:
        self._room -= len(data)
        if self._room < 0:
            self.overflowed = True
            self.transport.abort()
            return
        # Pass on one line at a time: aiohttp drops a head that arrives together with a malformed body.
        start = 0
        while self._lines and (end := data.find(b"\n", start) + 1) and not self.transport.is_closing():
            self._lines -= 1
            self._inner.data_received(data[start:end])
            start = end
        if start < len(data) and not self.transport.is_closing():
            self._inner.data_received(data[start:])

    def eof_received(self) -> bool | None:
        return bool(self._inner.eof_received())

    def connection_lost(self, exc: Exception | None) -> None:
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()


def _is_connected(opened: socket.socket) -> bool:
    try:
        opened.getpeername()
    except OSError:  # The socket is still connecting, or closed.
        return False
    return True
