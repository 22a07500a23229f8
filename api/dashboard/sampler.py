"""Sample the state of the system every LIVE_INTERVAL seconds, once for all viewers, and only while there are some."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple

from api.dashboard import sampling
from api.dashboard.sampling import Sample
from api.store import NotificationStore
from db.coalesce import Full
from db.database import Unavailable
from runtime import logs

log = logs.get("dashboard")

KEPT = 150  # samples that a chart shows


class Looker(NamedTuple):
    """A viewer of the overview.

    `digest` is that of its session, None while AUTH is off. `left` returns when the viewer has disconnected.
    """

    digest: bytes | None
    left: Callable[[], Awaitable[None]]


class Sampler:
    """Takes samples for all viewers of an API process. Use it on the event loop only."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store
        self._timeout = store.settings.delivery.worker_timeout
        self._providers = store.settings.provider_names
        self._interval = store.settings.dashboard.live_interval
        self._lookers: dict[object, Looker] = {}
        self._looking: asyncio.Task[None] | None = None
        self._taking: asyncio.Task[Sample] | None = None
        self._next: asyncio.Future[Sample | None] | None = None
        self._taken = 0.0
        self._stopping = False
        self.history: deque[Sample] = deque(maxlen=KEPT)

    async def now(self) -> Sample:
        """Return a sample that is at most LIVE_INTERVAL old; raise Unavailable if PostgreSQL does not answer."""
        if self.history and time.monotonic() - self._taken < self._interval:
            return self.history[-1]
        return await self._fresh()

    def check_room(self) -> None:
        """Raise Full if there are already STREAM_LISTENERS viewers."""
        if len(self._lookers) >= self._store.settings.streams.listeners:
            raise Full("live")

    async def samples(self, looker: Looker) -> AsyncIterator[Sample | None]:
        """Yield each new sample, or None for one that failed, until the viewer leaves or its session ends."""
        place = object()
        self._lookers[place] = looker
        leaving = asyncio.ensure_future(looker.left())
        try:
            while not self._stopping and not leaving.done():
                upcoming = self._next_sample()
                await asyncio.wait((upcoming, leaving), return_when=asyncio.FIRST_COMPLETED)
                if leaving.done() or self._stopping:
                    return
                sample = upcoming.result()
                if sample and looker.digest and looker.digest not in sample.good:
                    return
                yield sample
        finally:
            del self._lookers[place]
            leaving.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await leaving

    def stop(self) -> None:
        """End the streams of all viewers."""
        self._stopping = True
        if self._next is not None and not self._next.done():
            self._next.set_result(None)

    def _next_sample(self) -> asyncio.Future[Sample | None]:
        if self._next is None or self._next.done():
            self._next = asyncio.get_running_loop().create_future()
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        return self._next

    async def _look(self) -> None:
        try:
            while self._lookers and not self._stopping:
                await asyncio.sleep(max(0.0, self._taken + self._interval - time.monotonic()))
                sample = await self._tried()
                if self._next is not None and not self._next.done():
                    self._next.set_result(sample)
        finally:
            self._looking = None

    async def _tried(self) -> Sample | None:
        try:
            return await self._fresh()
        except (Unavailable, Full):
            return None
        except Exception:
            log.exception("sampler.failed")
            return None

    async def _fresh(self) -> Sample:
        """Return a new sample. Simultaneous callers share one."""
        if self._taking is None:
            self._taking = asyncio.create_task(self._take())
            self._taking.add_done_callback(self._took)
        return await asyncio.shield(self._taking)

    def _took(self, taking: asyncio.Task[Sample]) -> None:
        self._taking = None
        if not taking.cancelled():
            taking.exception()  # The callers have got it; without this call asyncio logs it as never retrieved.

    async def _take(self) -> Sample:
        # A rate over a long pause would say nothing about the present.
        if time.monotonic() - self._taken > 5 * self._interval:
            self.history.clear()
        before = self.history[-1].live_stats if self.history else None
        self._taken = time.monotonic()
        lookers = list({looker.digest for looker in self._lookers.values() if looker.digest})
        sample = await self._store.read_aside(sampling.take, self._timeout, self._providers, before, lookers)
        self.history.append(sample)
        return sample
