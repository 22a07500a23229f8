"""Bound on the CPU time that a client's requests may take of this process while they are checked."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus

from api.problems import Problem

BURST = 2.0  # seconds of CPU time that a client may use at once
REFILL = 0.1  # seconds of CPU time that come back each second
# Seconds of CPU time that a notification may take for nothing if it is accepted: an ordinary one takes a thirtieth.
FREE = 0.001


@dataclass(slots=True)
class _Account:
    left: float
    at: float


class CpuBudget:
    """A token bucket of CPU seconds for each client; used on the event loop only.

    Charged are requests that are refused, and what accepted notifications take beyond FREE each: rates count
    accepted notifications, so what is refused or costly would otherwise count for nothing. With `divided=False`,
    for an installation with one client, nothing is charged.
    """

    def __init__(self, *, divided: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        self._divided, self._clock = divided, clock
        self._accounts: dict[int, _Account] = {}

    @contextmanager
    def checking(self, client: int) -> Iterator[None]:
        """Charge the client for the checks of one notification in the block, which must not await anything.

        Raises:
            Problem: 429, the client has used up its budget.
        """
        if not self._divided:
            yield
            return
        self._require(client)
        began, free = time.thread_time(), 0.0
        try:
            yield
            free = FREE
        finally:
            if (spent := time.thread_time() - began) > free:
                self.charge(client, spent - free)

    def charge(self, client: int, seconds: float) -> None:
        """Take so many seconds of CPU time from the client's budget."""
        self._account(client).left -= seconds

    def _require(self, client: int) -> None:
        if client in self._accounts and (left := self._account(client).left) < 0:
            detail = "Checking what this client sends takes too much CPU time; nothing was stored."
            again = {"Retry-After": str(max(1, math.ceil(-left / REFILL)))}
            raise Problem(HTTPStatus.TOO_MANY_REQUESTS, detail, headers=again)

    def _account(self, client: int) -> _Account:
        """The client's account as of now; those that are full again are forgotten."""
        now = self._clock()
        account = self._accounts.setdefault(client, _Account(BURST, now))
        account.left, account.at = min(BURST, account.left + (now - account.at) * REFILL), now
        if len(self._accounts) > 1:
            full = [id for id, one in self._accounts.items() if one.left + (now - one.at) * REFILL >= BURST]
            for id in full:
                if id != client:
                    del self._accounts[id]
        return account
