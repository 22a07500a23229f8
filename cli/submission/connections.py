"""Connections of the SMTP server: how many there are, and how they end when it stops."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from aiosmtpd.smtp import SMTP

MOST = 100  # connections at a time, each of which may hold a mail in memory
FULL = "421 4.7.0 Too many connections: try again"
# What Python's parser of addresses raises for some malformed ones, such as `MAIL FROM:<`.
ADDRESS_ERRORS = (IndexError, AttributeError)
MALFORMED = "553 5.1.3 The address is malformed"
STOPPING = "421 4.3.2 The server is stopping: try again"


class Connections:
    """Open connections, which are of this `kind`. `stopping` is true once no further mail is taken."""

    def __init__(self, kind: type[Conversation] | None = None) -> None:
        self._kind = kind or Conversation
        self.stopping = False
        self._open: set[Conversation] = set()
        self._storing = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def new(self, *args: Any, **options: Any) -> asyncio.Protocol:
        """Return the protocol for a new connection."""
        if self.stopping or len(self._open) >= MOST:
            return _Turned(STOPPING if self.stopping else FULL)
        return self._kind(self, *args, **options)

    def opened(self, conversation: Conversation) -> None:
        self._open.add(conversation)

    def closed(self, conversation: Conversation) -> None:
        self._open.discard(conversation)

    @contextmanager
    def storing(self) -> Iterator[None]:
        """Keep all connections open until the mail of one is answered."""
        self._storing += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._storing -= 1
            if not self._storing:
                self._idle.set()

    async def stop(self, grace: float) -> None:
        """Take no further mail, wait up to `grace` seconds for answers of the API, and close all connections."""
        self.stopping = True
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._idle.wait()
        for conversation in list(self._open):
            await conversation.end()


class Conversation(SMTP):
    """Connection that is counted while it is open."""

    def __init__(self, connections: Connections, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._connections = connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._connections.opened(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.closed(self)
        super().connection_lost(error)

    async def smtp_MAIL(self, arg: str | None) -> None:  # noqa: N802
        try:
            await super().smtp_MAIL(arg)
        except ADDRESS_ERRORS:
            await self.push(MALFORMED)

    async def smtp_RCPT(self, arg: str | None) -> None:  # noqa: N802
        try:
            await super().smtp_RCPT(arg)
        except ADDRESS_ERRORS:
            await self.push(MALFORMED)

    async def end(self) -> None:
        """Say goodbye and close."""
        if self.transport is not None:
            with suppress(OSError):
                await self.push(STOPPING)
            self.transport.close()


class _Turned(asyncio.Protocol):
    """Connection that is closed at once, with a reply that says why."""

    def __init__(self, reply: str) -> None:
        self._reply = reply

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.WriteTransport):
            transport.write(f"{self._reply}\r\n".encode())
            transport.close()
