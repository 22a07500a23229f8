"""A network that a test can cut: loopback TCP in front of a server's unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, urlsplit

PIECE = 65_536  # bytes


class Proxy:
    """Forwards each connection. While it is cut, nothing passes and nobody is told, as when a cable is pulled."""

    def __init__(self, target: Path) -> None:
        self._target = str(target)
        self._passing = asyncio.Event()
        self._pairs: set[asyncio.Task[None]] = set()

    @classmethod
    def of_database(cls, url: str) -> Proxy:
        """In front of the PostgreSQL of a URL with `?host=` and `port=`."""
        options = parse_qs(urlsplit(url).query)
        return cls(Path(options["host"][0], f".s.PGSQL.{options['port'][0]}"))

    def through(self, url: str) -> str:
        """Return the URL of the same database through this proxy."""
        parts = urlsplit(url)
        return f"postgresql://postgres@127.0.0.1:{self.port}{parts.path}"

    def cut(self) -> None:
        """Hold back everything, also the connecting, from now on."""
        self._loop.call_soon_threadsafe(self._passing.clear)

    def mend(self) -> None:
        """Let new connections pass; those that were cut are reset, as by a firewall that forgot them."""
        self._loop.call_soon_threadsafe(self._mend)

    def __enter__(self) -> Self:
        listening = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._serve(listening),), name="proxy")
        self._thread.start()
        if not listening.wait(60):
            raise TimeoutError("the proxy did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _mend(self) -> None:
        self._reset()
        self._passing.set()

    def _reset(self) -> None:
        for pair in self._pairs:
            pair.cancel()

    async def _serve(self, listening: threading.Event) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        self._passing.set()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        listening.set()
        await self._stopping.wait()
        server.close()
        self._reset()
        await asyncio.gather(*self._pairs, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pair = asyncio.ensure_future(self._join(reader, writer))
        self._pairs.add(pair)
        pair.add_done_callback(self._pairs.discard)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side closes it or the network is mended."""
        with contextlib.suppress(OSError, asyncio.CancelledError):
            try:
                await self._passing.wait()
                far_reader, far_writer = await asyncio.open_unix_connection(self._target)
                try:
                    await self._both(self._forward(reader, far_writer), self._forward(far_reader, writer))
                finally:
                    far_writer.transport.abort()
            finally:
                writer.transport.abort()

    async def _both(self, *ways: Coroutine[None, None, None]) -> None:
        tasks = [asyncio.ensure_future(way) for way in ways]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(PIECE):
            await self._passing.wait()
            writer.write(piece)
            await writer.drain()
