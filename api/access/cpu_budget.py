"""Bound on the CPU time that a client's requests may take of this process."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from http import HTTPStatus

from api.http.problems import Problem

BURST = 2.0  # seconds of CPU time that a client may use at once
REFILL = 0.1  # seconds of CPU time that come back each second
# Seconds of CPU time that a request may take for nothing if it is not refused: an ordinary one takes a tenth.
FREE = 0.003
FREE_ITEM = 0.001  # likewise, for each item of a batch that is stored
SWEPT_EVERY = 1.0  # seconds


class CpuBudget:
    """A token bucket of CPU seconds for each client; used on the event loop only.

    With `divided=False`, for an installation with one client, nothing is charged.
    """

    def __init__(self, *, divided: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        self._divided, self._clock = divided, clock
        self._left: dict[int, tuple[float, float]] = {}  # seconds, and when that was so
        self._swept = clock()

    def charge(self, client: int, seconds: float) -> None:
        """Take so many seconds of CPU time from the client's budget; what is less than nothing is given back."""
        if self._divided:
            now = self._clock()
            self._left[client] = min(BURST, self._of(client, now) - seconds), now
            self._sweep(now)

    def require(self, client: int, free: float = 0.0) -> None:
        """Raise a Problem, 429, where the client owes more than `free` seconds."""
        if client in self._left and (left := self._of(client, self._clock()) + free) < 0:
            detail = "What this client sends takes too much CPU time; nothing was stored."
            again = {"Retry-After": str(max(1, math.ceil(-left / REFILL)))}
            raise Problem(HTTPStatus.TOO_MANY_REQUESTS, detail, headers=again)

    def _of(self, client: int, now: float) -> float:
        left, at = self._left.get(client, (BURST, now))
        return min(BURST, left + (now - at) * REFILL)

    def _sweep(self, now: float) -> None:
        """Forget the accounts that are full."""
        if now - self._swept >= SWEPT_EVERY:
            self._swept = now
            self._left = {client: of for client, of in self._left.items() if self._of(client, now) < BURST}
