"""A network that breaks each connection after a given number of bytes."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import Literal, NamedTuple

from tests.eventually import eventually
from tests.forwarding import PIECE, Forwarder

Way = Literal["request", "answer"]


class Cut(NamedTuple):
    """Break a connection after so many bytes of what the client sends (`request`) or receives (`answer`)."""

    way: Way
    after: int


class CuttingProxy(Forwarder):
    """Loopback TCP in front of a port. Each new connection takes the next of `cuts`; without one it is not broken.

    `passed`: the bytes of each way that have passed.
    """

    def __init__(self, target: int) -> None:
        super().__init__()
        self.cuts: deque[Cut] = deque()
        self.passed: dict[Way, int] = {"request": 0, "answer": 0}
        self._target = target

    def drop(self) -> None:
        """Break all connections, and return when they are closed."""
        self.loop.call_soon_threadsafe(self.break_all)
        eventually(lambda: not self.joined)

    async def join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward both ways until one of them ends or reaches the cut."""
        cut = self.cuts.popleft() if self.cuts else None
        with contextlib.suppress(OSError, asyncio.CancelledError):
            try:
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
                try:
                    await self.both(
                        self._forward("request", reader, far_writer, cut),
                        self._forward("answer", far_reader, writer, cut),
                    )
                finally:
                    far_writer.close()
            finally:
                writer.close()

    async def _forward(
        self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, cut: Cut | None
    ) -> None:
        left = cut.after if cut and cut.way == way else None
        while left != 0 and (piece := await reader.read(PIECE if left is None else min(left, PIECE))):
            writer.write(piece)
            await writer.drain()
            self.passed[way] += len(piece)
            if left is not None:
                left -= len(piece)
