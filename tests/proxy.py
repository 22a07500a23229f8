"""A network that a test can cut: loopback TCP in front of a server's unix socket."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.forwarding import PIECE, Forwarder


class Proxy(Forwarder):
    """Forwards each connection. While it is cut, nothing passes and nobody is told, as when a cable is pulled."""

    def __init__(self, target: Path) -> None:
        super().__init__()
        self._target = str(target)
        self._passing = asyncio.Event()
        self._passing.set()

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
        self.loop.call_soon_threadsafe(self._passing.clear)

    def mend(self) -> None:
        """Let new connections pass; those that were cut are reset, as by a firewall that forgot them."""
        self.loop.call_soon_threadsafe(self._mend)

    def _mend(self) -> None:
        self.break_all()
        self._passing.set()

    async def join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side closes it or the network is mended."""
        with contextlib.suppress(OSError, asyncio.CancelledError):
            try:
                await self._passing.wait()
                far_reader, far_writer = await asyncio.open_unix_connection(self._target)
                try:
                    await self.both(self._forward(reader, far_writer), self._forward(far_reader, writer))
                finally:
                    far_writer.transport.abort()
            finally:
                writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(PIECE):
            await self._passing.wait()
            writer.write(piece)
            await writer.drain()
