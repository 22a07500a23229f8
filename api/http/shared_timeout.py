"""An end to waits that are all equally long: one timer for all of them, where asyncio.timeout has one for each."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TypeVar

T = TypeVar("T")


class Patience:
    """For futures that end in about the order in which they were begun; for the event loop alone.

    One that waits long keeps those behind it in memory, until it ends or its `seconds` are over.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waits: deque[tuple[float, asyncio.Future[T]]] = deque()  # type: ignore[valid-type]
        self._timer: asyncio.TimerHandle | None = None

    def bounds(self, future: asyncio.Future[T]) -> asyncio.Future[T]:
        """The same future, which from now on ends within `seconds`: with TimeoutError, if with nothing else."""
        while self._waits and self._waits[0][1].done():
            self._waits.popleft()
        loop = asyncio.get_running_loop()
        self._waits.append((loop.time() + self._seconds, future))
        if self._timer is None:
            self._timer = loop.call_later(self._seconds, self._end)
        return future

    def _end(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waits and (self._waits[0][1].done() or self._waits[0][0] <= loop.time()):
            _, future = self._waits.popleft()
            if not future.done():
                future.set_exception(TimeoutError())
        self._timer = loop.call_at(self._waits[0][0], self._end) if self._waits else None
