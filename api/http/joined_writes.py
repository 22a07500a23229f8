"""Transport that joins the writes of one step of the event loop."""

from __future__ import annotations

import asyncio
from typing import Any

LIMIT = 65_536  # bytes that wait at most; the transport then tells whether the client reads them


class JoinedWrites:
    """Transport whose writes leave together with the next iteration of the event loop, in one system call.

    uvicorn writes the head and the body of an answer one after the other, and uvloop hands each write to the operating
    system at once: that wakes the client twice. Everything but writing and closing is passed on to the transport.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._pending: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        if not self._pending:
            self._loop.call_soon(self._flush)
        self._pending.append(data)
        self._size += len(data)
        if self._size > LIMIT:
            self._flush()

    def write_eof(self) -> None:
        self._flush()
        self._transport.write_eof()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _flush(self) -> None:
        if self._pending:
            data, self._pending, self._size = b"".join(self._pending), [], 0
            if not self._transport.is_closing():  # Otherwise the client is gone, and a write would fail.
                self._transport.write(data)
