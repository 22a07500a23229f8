"""Server on loopback that runs in a thread of the supervisor: 2 MB of memory, where a process would take 30 MB."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable

from cli.servers import StartError

HOST = "127.0.0.1"
Protocols = Callable[[], asyncio.BaseProtocol]


class LocalServer:
    """Service of the supervisor. A subclass makes the protocol of a connection."""

    name = "server"
    title = "The server"  # in messages

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    async def protocols(self) -> Protocols:
        """Return the function that makes the protocol of a new connection. Called on the event loop of the thread."""
        raise NotImplementedError

    async def close_connections(self) -> None:
        """Close connections that would remain open when their tasks are cancelled."""

    @property
    def pid(self) -> int:
        """Id of this process, which the server runs in."""
        return os.getpid()

    @property
    def alive(self) -> bool:
        """True while the server runs."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Start the server: on its port, or for 0 on a free one, which it keeps."""
        loop = asyncio.new_event_loop()
        try:
            server = loop.run_until_complete(self._listening(loop))
        except OSError as error:
            loop.close()
            raise StartError(f"{self.title} cannot listen on {HOST}: {error.strerror}") from error
        self.port = server.sockets[0].getsockname()[1]
        self._loop = loop
        self._thread = threading.Thread(target=self._serve, args=(loop, server), name=self.name, daemon=True)
        self._thread.start()

    def ask(self) -> None:
        """Ask the server to stop, without waiting."""
        if self._loop is not None and self.alive:
            self._loop.call_soon_threadsafe(self._loop.stop)

    def stop(self) -> str:
        """Stop the server, wait for its end, and return how it ended."""
        self.ask()
        return self.reap()

    def reap(self) -> str:
        """Wait for the end of the thread, and return how it ended."""
        if self._thread is not None:
            self._thread.join(timeout=5)
        self._thread = self._loop = None
        return "done"

    async def _listening(self, loop: asyncio.AbstractEventLoop) -> asyncio.Server:
        return await loop.create_server(await self.protocols(), HOST, self.port)

    def _serve(self, loop: asyncio.AbstractEventLoop, server: asyncio.Server) -> None:
        asyncio.set_event_loop(loop)
        loop.run_forever()
        server.close()
        loop.run_until_complete(self.close_connections())
        conversations = asyncio.all_tasks(loop)
        for conversation in conversations:
            conversation.cancel()
        loop.run_until_complete(asyncio.gather(*conversations, return_exceptions=True))
        loop.close()
