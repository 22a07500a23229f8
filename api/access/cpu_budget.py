"""Limit of the CPU time that a client's requests may take in this process."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from http import HTTPStatus

from api.http.problems import RefusedRequest

BURST = 2.0  # seconds of CPU time that a client may use at once
REFILL = 0.1  # seconds of CPU time that a client regains each second
# Seconds of CPU time that an accepted request takes without charge: an ordinary one takes a tenth of this.
FREE = 0.003
FREE_ITEM = 0.001  # seconds, for each stored item of a batch
SWEPT_EVERY = 1.0  # seconds


class CpuBudget:
    """Token bucket of CPU seconds for each client. Use it on the event loop only.

    With `divided=False`, for an installation with one client, nothing is charged.
    """

    def __init__(self, *, divided: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        self._divided, self._clock = divided, clock
        self._left: dict[int, tuple[float, float]] = {}  # seconds left, and the clock's time at which that was true
        self._swept = clock()

    def charge(self, client: int, seconds: float) -> None:
        """Take seconds of CPU time from what the client has left; a negative number is given back."""
        if self._divided:
            now = self._clock()
            self._left[client] = min(BURST, self._of(client, now) - seconds), now
            self._sweep(now)

    def require(self, client: int, free: float = 0.0) -> None:
        """Raise the Problem 429 if the client owes more than `free` seconds."""
        if client in self._left and (left := self._of(client, self._clock()) + free) < 0:
            detail = "The requests of this client take too much CPU time."
            again = {"Retry-After": str(max(1, math.ceil(-left / REFILL)))}
            raise RefusedRequest(HTTPStatus.TOO_MANY_REQUESTS, detail, headers=again)

    def _of(self, client: int, now: float) -> float:
        left, at = self._left.get(client, (BURST, now))
        return min(BURST, left + (now - at) * REFILL)

    def _sweep(self, now: float) -> None:
        """Forget the clients that have all of it again."""
        if now - self._swept >= SWEPT_EVERY:
            self._swept = now
            self._left = {client: of for client, of in self._left.items() if self._of(client, now) < BURST}
