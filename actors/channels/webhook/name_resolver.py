"""Look up names in the DNS without blocking other work.

The system's resolver cannot be interrupted, and may wait minutes for a name server that does not answer. So each
look-up runs in a daemon thread of its own, for which nothing needs to wait, instead of the event loop's executor, whose
threads other work needs.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

LOOKUPS = 64  # concurrent threads of this process

Addresses = Sequence[tuple[Any, ...]]  # as socket.getaddrinfo returns them
Lookup = Callable[[str, int], Addresses]


def look_up(host: str, port: int) -> Addresses:
    """Ask the system's resolver, without a time-out."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


class NameResolver:
    """Resolver of one event loop. Concurrent callers that ask for the same name share one look-up."""

    def __init__(self, look_up: Lookup = look_up) -> None:
        self._look_up = look_up
        self._room = asyncio.Semaphore(LOOKUPS)
        self._running: dict[tuple[str, int], asyncio.Task[Addresses]] = {}

    async def addresses(self, host: str, port: int) -> Addresses:
        """Return the addresses of `host`. If a caller is cancelled, the look-up goes on for the others.

        Raises:
            OSError, UnicodeError: The name does not exist.
        """
        task = self._running.get((host, port))
        if task is None:
            task = self._running[host, port] = asyncio.create_task(self._run(host, port))
            task.add_done_callback(lambda done: self._finished(done, host, port))
        return await asyncio.shield(task)

    def close(self) -> None:
        """Stop waiting for look-ups."""
        for task in self._running.values():
            task.cancel()

    def _finished(self, task: asyncio.Task[Addresses], host: str, port: int) -> None:
        del self._running[host, port]
        if not task.cancelled():
            task.exception()  # asyncio would log an exception that nobody has retrieved.

    async def _run(self, host: str, port: int) -> Addresses:
        async with self._room:
            loop = asyncio.get_running_loop()
            found: asyncio.Future[Addresses] = loop.create_future()

            def run() -> None:
                try:
                    resolve = partial(found.set_result, self._look_up(host, port))
                except Exception as error:  # noqa: BLE001 - raised in the callers
                    resolve = partial(found.set_exception, error)
                with contextlib.suppress(RuntimeError):  # The loop is closed: nobody waits for the result.
                    loop.call_soon_threadsafe(lambda: None if found.done() else resolve())

            threading.Thread(target=run, name="look-up", daemon=True).start()
            return await found
