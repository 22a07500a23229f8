"""Long polls: one periodic query serves all clients that wait for notifications to become final.

A waiting client holds no thread and no connection. A process without waiting clients queries nothing. NOTIFY is not
used: every settlement would pay for it, even without waiting clients, and all commits that notify queue up behind one
lock of the whole server.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from api.access.shares import Shares
from db import reports
from db.database import Unavailable, connection, database
from runtime import logs
from settings import Settings

log = logs.get("watch")

INTERVAL = 0.25  # seconds between two looks for changes
SHOWN_AT_ONCE = 200  # notifications read in one statement, because each may have a large message
Row = dict[str, Any]


class LongPolls:
    """Long polls of an API process. Use it on the event loop only."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._waiting: dict[_Waiter, None] = {}
        self._shares = Shares("watch", settings.streams.listeners, divided=settings.http.auth != "off")
        self._asking: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="watch")
        self._hurry = asyncio.Event()
        self.stopping = False

    async def end(self, id: int, client: int, seconds: float, left: Callable[[], Awaitable[None]]) -> Row | None:
        """Return the notification once it is sent, failed or cancelled, or as it is after `seconds` or at a stop.

        Return None if it does not exist, or if the client has disconnected, which is when `left` returns.

        Raises:
            Full: too many requests wait already, or too many of this client.
            Unavailable: the database did not answer when the time was over.
        """
        self._shares.take(client)
        waiter = _Waiter(id, time.monotonic() + seconds)
        leaving = asyncio.ensure_future(left())
        self._waiting[waiter] = None
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
        try:
            await asyncio.wait((waiter.answer, leaving), return_when=asyncio.FIRST_COMPLETED)
            return waiter.answer.result() if waiter.answer.done() else None
        finally:
            self._shares.give_back(client)
            self._waiting.pop(waiter, None)
            leaving.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await leaving

    def stop(self) -> None:
        """Answer all waiting requests now, and later ones at once."""
        self.stopping = True
        self._hurry.set()

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _ask(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(INTERVAL):
                        await self._hurry.wait()
                self._hurry.clear()
                await self._look(loop)
        finally:
            self._asking = None
        loop.run_in_executor(self._thread, database.close)

    async def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = time.monotonic()
        waiting = list(self._waiting)
        over = {w for w in waiting if self.stopping or w.until <= now}
        try:
            ended = await loop.run_in_executor(self._thread, _finished, list({w.id for w in waiting}))
            chosen = [w for w in waiting if w in over or w.id in ended]
            for start in range(0, len(chosen), SHOWN_AT_ONCE):
                some = chosen[start : start + SHOWN_AT_ONCE]
                shown = await loop.run_in_executor(self._thread, _shown, list({w.id for w in some}))
                for waiter in some:
                    waiter.resolve(shown.get(waiter.id))
        except Unavailable as error:
            log.warning("database.unavailable", error=str(error), waiting=len(waiting))
            for waiter in over:
                waiter.fail(error)
        except Exception as bug:
            log.exception("watch.failed")
            for waiter in waiting:
                waiter.fail(bug)
        for waiter in waiting:
            if waiter.answer.done():
                self._waiting.pop(waiter, None)


class _Waiter:
    def __init__(self, id: int, until: float) -> None:
        self.id, self.until = id, until
        self.answer: asyncio.Future[Row | None] = asyncio.get_running_loop().create_future()

    def resolve(self, row: Row | None) -> None:
        if not self.answer.done():
            self.answer.set_result(row)

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


def _finished(ids: Sequence[int]) -> frozenset[int]:
    with connection():
        return frozenset(reports.finished(ids))


def _shown(ids: Sequence[int]) -> dict[int, Row]:
    with connection():
        return {row["id"]: row for row in reports.notifications(ids)}
