"""Limit the concurrent requests to each endpoint that a client has chosen, and pause those that do not answer."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Hashable

from actors.channels import Deferred
from settings import Settings

AT_ONCE = 4  # concurrent requests of this process to one endpoint


class EndpointLimits:
    """Limits for each endpoint: `at_once` requests at a time, and none for CALLBACK_REST after one that timed out.

    After the pause one request is tried; the others are deferred until it is answered.
    """

    def __init__(self, settings: Settings, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._rest, self._timeout, self._turn_timeout = (
            settings.callbacks.rest,
            settings.callbacks.timeout,
            settings.delivery.list_budget,
        )
        self._limits: dict[Hashable, _Limits] = {}  # of the endpoints in use
        self._resting: dict[Hashable, float] = {}  # end of the pause (`time.monotonic()`), by endpoint

    @contextlib.asynccontextmanager
    async def turn(self, id: Hashable) -> AsyncIterator[None]:
        """Wait for a turn at endpoint `id`, for at most LIST_BUDGET.

        Raises:
            Deferred: The endpoint is paused, or there was no turn in time. Nothing was sent.
        """
        self._check(id)
        limits = self._limits.setdefault(id, _Limits(self._at_once))
        limits.wanted += 1
        try:
            await limits.take(self._turn_timeout)
            try:
                self._check(id)
                if id in self._resting:
                    self._resting[id] = time.monotonic() + self._timeout + self._rest
                yield
            finally:
                limits.free.release()
        finally:
            limits.wanted -= 1
            if not limits.wanted:
                del self._limits[id]

    def is_free(self, id: Hashable) -> bool:
        """Return whether a request to endpoint `id` would not wait: it gets a turn, or is deferred at once."""
        limits = self._limits.get(id)
        return limits is None or limits.wanted < self._at_once or time.monotonic() < self._resting.get(id, 0.0)

    def record(self, id: Hashable, *, timed_out: bool) -> None:
        """Record the end of a request to endpoint `id`."""
        if timed_out:
            self._resting[id] = time.monotonic() + self._rest
        else:
            self._resting.pop(id, None)

    def _check(self, id: Hashable) -> None:
        if time.monotonic() < self._resting.get(id, 0.0):
            raise Deferred("not tried: the endpoint did not answer an earlier request in time", phase="rest")


class _Limits:
    """Turns at one endpoint. `wanted`: number of requests that have a turn or wait for one."""

    def __init__(self, at_once: int) -> None:
        self.free, self.wanted = asyncio.Semaphore(at_once), 0

    async def take(self, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                await self.free.acquire()
        except TimeoutError:
            raise Deferred("not tried: the endpoint is busy with earlier requests", phase="rest") from None
