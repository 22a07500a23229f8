"""Limit the concurrent requests to each callback endpoint or destination, and pause those that do not answer."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Hashable

from actors.channels import Deferred, Throttled
from settings import Settings

AT_ONCE = 4  # concurrent requests of this process to one endpoint
SPACING = 0.25  # seconds between the notifications that wait for the end of a hold, which must not come all at once
LONGEST_HOLD = 3_600.0  # seconds
NOT_TRIED = "rest"  # the phase of a notification that was not tried, because of an earlier one


class EndpointLimits:
    """Limits for each endpoint: `at_once` requests at a time, and none for CALLBACK_REST after one that timed out.

    After the pause one request is tried; the others are deferred until it is answered. `what`: the word for an
    endpoint in messages.
    """

    def __init__(self, settings: Settings, at_once: int = AT_ONCE, what: str = "endpoint") -> None:
        self._at_once = at_once
        self._rest, self._timeout, self._turn_timeout = (
            settings.callbacks.rest,
            settings.callbacks.timeout,
            settings.delivery.list_budget,
        )
        self._what = what
        self._limits: dict[Hashable, _Limits] = {}  # of the endpoints in use
        self._resting: dict[Hashable, float] = {}  # end of the pause (`time.monotonic()`), by endpoint
        self._held: dict[Hashable, _Hold] = {}  # endpoints that take nothing for a time

    @contextlib.asynccontextmanager
    async def turn(self, id: Hashable) -> AsyncIterator[None]:
        """Wait for a turn at endpoint `id`, for at most LIST_BUDGET.

        Raises:
            Throttled: The endpoint has asked us to wait. Nothing was sent.
            Deferred: The endpoint is paused, or there was no turn in time. Nothing was sent.
        """
        self._check(id)
        limits = self._limits.setdefault(id, _Limits(self._at_once))
        limits.wanted += 1
        try:
            await limits.take(self._turn_timeout, self._what)
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
        limits, now = self._limits.get(id), time.monotonic()
        held = self._held.get(id)
        paused = now < self._resting.get(id, 0.0) or (held is not None and now < held.until)
        return limits is None or limits.wanted < self._at_once or paused

    def record(self, id: Hashable, *, timed_out: bool) -> None:
        """Record the end of a request to endpoint `id`."""
        if timed_out:
            self._resting[id] = time.monotonic() + self._rest
        else:
            self._resting.pop(id, None)

    def hold(self, id: Hashable, seconds: float) -> None:
        """Send nothing more to endpoint `id` for this long."""
        now = time.monotonic()
        self._held = {other: hold for other, hold in self._held.items() if now < hold.until}
        hold = self._held.setdefault(id, _Hold())
        hold.until = max(hold.until, now + seconds)

    def _check(self, id: Hashable) -> None:
        now = time.monotonic()
        if now < self._resting.get(id, 0.0):
            raise Deferred(f"not tried: the {self._what} did not answer an earlier request in time", phase=NOT_TRIED)
        hold = self._held.get(id)
        if hold is not None and now < hold.until:
            wait = min(hold.until - now + SPACING * hold.waiting, LONGEST_HOLD)
            hold.waiting += 1
            raise Throttled(f"not tried: the {self._what} has asked us to wait", phase=NOT_TRIED, retry_after=wait)


class _Hold:
    """End of the time for which an endpoint takes nothing, and how many notifications wait for it."""

    def __init__(self) -> None:
        self.until, self.waiting = 0.0, 0


class _Limits:
    """Turns at one endpoint. `wanted`: number of requests that have a turn or wait for one."""

    def __init__(self, at_once: int) -> None:
        self.free, self.wanted = asyncio.Semaphore(at_once), 0

    async def take(self, timeout: float, what: str) -> None:
        try:
            async with asyncio.timeout(timeout):
                await self.free.acquire()
        except TimeoutError:
            raise Deferred(f"not tried: the {what} is busy with earlier requests", phase=NOT_TRIED) from None
