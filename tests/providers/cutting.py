"""A network that breaks each connection after a given number of bytes."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from typing import Literal, NamedTuple, Self

from tests.eventually import eventually

PIECE = 65_536  # bytes

Way = Literal["request", "answer"]


class Cut(NamedTuple):
    """Break a connection after so many bytes of what the client sends (`request`) or receives (`answer`)."""

    way: Way
    after: int


class CuttingProxy:
    """Loopback TCP in front of a port. Each new connection takes the next of `cuts`; without one it is not broken.

    `passed`: the bytes of each way that have passed.
    """

    def __init__(self, target: int) -> None:
        self.cuts: deque[Cut] = deque()
        self.passed: dict[Way, int] = {"request": 0, "answer": 0}
        self._target = target
        self._tasks: set[asyncio.Task[None]] = set()

    def drop(self) -> None:
        """Break all connections, and return when they are closed."""
        self._loop.call_soon_threadsafe(self._break)
        eventually(lambda: not self._tasks)

    def __enter__(self) -> Self:
        listening = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._serve(listening),), name="cutting")
        self._thread.start()
        if not listening.wait(60):
            raise TimeoutError("the proxy did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    async def _serve(self, listening: threading.Event) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, backlog=1_024)
        self.port: int = server.sockets[0].getsockname()[1]
        listening.set()
        await self._stopping.wait()
        server.close()
        self._break()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _break(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._join(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward both ways until one of them ends or reaches the cut."""
        cut = self.cuts.popleft() if self.cuts else None
        with contextlib.suppress(OSError, asyncio.CancelledError):
            try:
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
                ways = [
                    asyncio.ensure_future(self._forward("request", reader, far_writer, cut)),
                    asyncio.ensure_future(self._forward("answer", far_reader, writer, cut)),
                ]
                try:
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for way in ways:
                        way.cancel()
                    await asyncio.gather(*ways, return_exceptions=True)
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
