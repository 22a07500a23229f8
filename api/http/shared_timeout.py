"""Timeout of equal length for many futures, with one timer instead of one for each as in asyncio.timeout."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TypeVar

T = TypeVar("T")


class SharedTimeout:
    """Timeout for futures that finish in about the order in which they started. Use it on the event loop only.

    A future that waits long keeps later ones in memory until it is done or its `seconds` are over.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waits: deque[tuple[float, asyncio.Future[T]]] = deque()  # type: ignore[valid-type]
        self._timer: asyncio.TimerHandle | None = None

    def bounds(self, future: asyncio.Future[T]) -> asyncio.Future[T]:
        """Make the future fail with TimeoutError unless it is done within `seconds`, and return it."""
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
