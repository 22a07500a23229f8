"""Take turns at an endpoint, and leave alone one that does not answer."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from actors.channels import Deferred
from settings import Settings

AT_ONCE = 4  # requests to one endpoint at a time by this process


class EndpointTurns:
    """Bounds the requests to each endpoint: AT_ONCE at a time, and none for CALLBACK_REST after one that timed out.

    After the rest one request tries, and the others go on being deferred until it has been answered.
    """

    def __init__(self, settings: Settings) -> None:
        self._rest, self._timeout, self._patience = (
            settings.callback_rest,
            settings.callback_timeout,
            settings.list_budget,
        )
        self._turns: dict[int, _Turns] = {}  # those that are in use
        self._resting: dict[int, float] = {}  # until when, as `time.monotonic()`

    @contextlib.asynccontextmanager
    async def turn(self, id: int) -> AsyncIterator[None]:
        """Wait for a turn at endpoint `id`, for at most LIST_BUDGET.

        Raises:
            Deferred: the endpoint rests or has begun to, or there was no turn in time. Nothing has been tried.
        """
        self._check(id)
        turns = self._turns.setdefault(id, _Turns())
        turns.wanted += 1
        try:
            await turns.take(self._patience)
            try:
                self._check(id)
                if id in self._resting:
                    self._resting[id] = time.monotonic() + self._timeout + self._rest
                yield
            finally:
                turns.free.release()
        finally:
            turns.wanted -= 1
            if not turns.wanted:
                del self._turns[id]

    def is_free(self, id: int) -> bool:
        """Return whether a request to endpoint `id` need not wait for others: it has a turn, or is not tried."""
        turns = self._turns.get(id)
        return turns is None or turns.wanted < AT_ONCE or time.monotonic() < self._resting.get(id, 0.0)

    def record(self, id: int, *, timed_out: bool) -> None:
        """Record how a request to endpoint `id` has ended."""
        if timed_out:
            self._resting[id] = time.monotonic() + self._rest
        else:
            self._resting.pop(id, None)

    def _check(self, id: int) -> None:
        if time.monotonic() < self._resting.get(id, 0.0):
            raise Deferred("not tried: this endpoint has just not answered in time", phase="rest")


class _Turns:
    """The turns at one endpoint. `wanted`: how many have one, or wait for one."""

    def __init__(self) -> None:
        self.free, self.wanted = asyncio.Semaphore(AT_ONCE), 0

    async def take(self, patience: float) -> None:
        try:
            async with asyncio.timeout(patience):
                await self.free.acquire()
        except TimeoutError:
            raise Deferred("not tried: this endpoint is busy with earlier callbacks", phase="rest") from None
