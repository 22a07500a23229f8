"""A listening socket that can be closed and opened again, on the same port of loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Listener:
    """The listening socket of a sink. `transports`: its open connections, which their protocols add and discard."""

    def __init__(self, protocol: Callable[[], asyncio.Protocol]) -> None:
        self.port = 0  # until it listens
        self.transports: set[asyncio.Transport] = set()
        self._protocol = protocol
        self._server: asyncio.Server | None = None

    async def listen(self, *, on: bool) -> None:
        """Accept connections; or refuse them and reset those that are open, as if the process were killed."""
        if on and self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(self._protocol, "127.0.0.1", self.port, backlog=1024)
            self.port = self._server.sockets[0].getsockname()[1]
        elif not on and self._server is not None:
            self._server.close()
            self._server = None
            for transport in list(self.transports):
                transport.abort()
