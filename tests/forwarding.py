"""Loopback TCP that forwards connections, as the frame of networks that tests break."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Self

PIECE = 65_536  # bytes


class Forwarder:
    """Listens on `port` in a thread of its own. A subclass says in `join` what becomes of each connection."""

    port: int

    def __init__(self) -> None:
        self.joined: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        listening = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._serve(listening),), name="forwarder")
        self._thread.start()
        if not listening.wait(60):
            raise TimeoutError("the forwarder did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    async def join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection until it ends or is cancelled."""
        raise NotImplementedError

    def break_all(self) -> None:
        """Cancel all connections. Call it on the loop."""
        for task in self.joined:
            task.cancel()

    async def both(self, *ways: Coroutine[None, None, None]) -> None:
        """Forward both ways until one of them ends."""
        tasks = [asyncio.ensure_future(way) for way in ways]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, listening: threading.Event) -> None:
        self.loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, backlog=1_024)
        self.port = server.sockets[0].getsockname()[1]
        listening.set()
        await self._stopping.wait()
        server.close()
        self.break_all()
        await asyncio.gather(*self.joined, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self.join(reader, writer))
        self.joined.add(task)
        task.add_done_callback(self.joined.discard)
