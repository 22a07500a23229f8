"""Where the event loop meets blocking code: writes go to a coalescer, reads to a few threads."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from actors.bell import Bell
from db import lifecycle
from db.coalesce import Coalescer, Full
from db.database import Unavailable, connection
from db.records import Accepted, Draft
from settings import Settings

P = ParamSpec("P")
T = TypeVar("T")


class Gateway:
    """One per API process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._bell = Bell(settings)
        self._accepting: Coalescer[Draft, Accepted] = Coalescer(
            "accept", self._accept, most=settings.accept_batch, waiting=settings.accept_waiting
        )
        self._readers = ThreadPoolExecutor(settings.read_threads, thread_name_prefix="read")
        self._reading = 0

    async def accept(self, draft: Draft) -> Accepted:
        """Store a notification for good and ring its bell.

        Raises:
            Unavailable, Full: it was not stored, as far as can be known.
        """
        return await self._within_reason(self._accepting.ask(draft))

    async def read(self, report: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking report on a thread that keeps its database connection."""
        if self._reading >= self.settings.read_waiting:
            raise Full("read")
        self._reading += 1
        try:
            return await self._within_reason(
                asyncio.get_running_loop().run_in_executor(self._readers, lambda: _connected(report, *args, **kwargs))
            )
        finally:
            self._reading -= 1

    def close(self) -> None:
        """Finish what was begun, within SHUTDOWN_GRACE."""
        self._accepting.close(self.settings.shutdown_grace)
        self._bell.close(self.settings.redis_timeout)
        self._readers.shutdown(wait=False, cancel_futures=True)

    async def _within_reason(self, answer: Awaitable[T]) -> T:
        """Wait as long as the database may take; one that hangs does not keep its own limits."""
        limit = self.settings.db_connect_timeout + self.settings.db_statement_timeout
        try:
            async with asyncio.timeout(limit):
                return await answer
        except TimeoutError:
            raise Unavailable(f"no answer within {limit:g} seconds") from None

    def _accept(self, drafts: Sequence[Draft]) -> list[Accepted]:
        with connection():
            accepted = lifecycle.accept(drafts, self.settings.relay_grace)
        # Stored is stored: nothing that happens to the bell may become an error of the request.
        self._bell.ring([a.id for a in accepted if a.failure_reason is None])
        return accepted


def _connected(report: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    with connection():
        return report(*args, **kwargs)
