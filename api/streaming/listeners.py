"""Open streams of a process: their number, heartbeats, revoked keys, and clients that read nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from concurrent.futures import Executor

from api.access.shares import Shares
from api.streaming.listener import OVER, REVOKED, SLOW, STOPPING, Listener
from db import keys
from db.database import Unavailable, connection
from runtime import logs
from settings import Settings

log = logs.get("streams")

STALL = 2  # heartbeats; a stream is closed when its client reads nothing for this long
EVERY = 0.5  # seconds between two checks; a revoked key ends its streams after this time


class Listeners:
    """Open streams of an API process. Use it on the event loop only."""

    def __init__(self, settings: Settings, thread: Executor) -> None:
        self._settings, self._thread = settings, thread
        self._open: dict[Listener, None] = {}
        self._shares = Shares("streams", settings.streams.listeners, divided=settings.http.auth != "off")
        self._caring: asyncio.Task[None] | None = None
        self._stopping = False

    def check(self, client: int) -> None:
        """Raise Full if this client may not open another stream."""
        self._shares.check(client)

    def add(self, listener: Listener) -> None:
        """Look after a stream until it is removed."""
        self._shares.take(listener.caller.client_id)
        self._open[listener] = None
        if self._stopping:
            listener.end(STOPPING)
        if self._caring is None:
            self._caring = asyncio.create_task(self._care())

    def remove(self, listener: Listener) -> None:
        if listener in self._open:
            del self._open[listener]
            self._shares.give_back(listener.caller.client_id)

    def stop(self) -> None:
        """End all streams, and those that are added later."""
        self._stopping = True
        for listener in self._open:
            listener.end(STOPPING)

    async def _care(self) -> None:
        try:
            while self._open:
                await asyncio.sleep(min(EVERY, self._settings.streams.seconds))
                self._look()
                await self._revoke()
        finally:
            self._caring = None

    def _look(self) -> None:
        now, s = time.monotonic(), self._settings
        for listener in list(self._open):
            if now >= listener.until:
                listener.end(OVER)
            elif now - listener.writing_since >= STALL * s.streams.heartbeat:
                log.info("stream.cut", client=listener.caller.client_id, key=listener.caller.key_id)
                self.remove(listener)
                listener.cut(SLOW)
            elif now - listener.said_at >= s.streams.heartbeat:
                listener.wake()

    async def _revoke(self) -> None:
        ids = {id for listener in self._open if (id := listener.caller.key_id) is not None}
        if not ids:
            return
        try:
            live = await asyncio.get_running_loop().run_in_executor(self._thread, _live, ids)
        except Unavailable:  # Without the database, streams have no events either.
            return
        except Exception:
            log.exception("streams.failed")
            return
        revoked = ids - live  # Keys of streams that were added during the lookup were not looked up.
        for listener in self._open:
            if listener.caller.key_id in revoked:
                listener.end(REVOKED)


def _live(ids: Collection[int]) -> frozenset[int]:
    with connection():
        return frozenset(keys.live(ids))
