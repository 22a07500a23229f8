"""Measuring what CPU time a request takes of the event loop, and charging its client for it."""

from __future__ import annotations

import time
from collections.abc import Coroutine, Generator
from typing import Any

from api.access.cpu_budget import CpuBudget

METER = "notification-system.meter"  # in the scope, if there may be a body: the Meter of the request


class Meter:
    """Await this in place of the coroutine that answers a request.

    The client is charged for all of it if the request is refused, and for what is beyond `free` seconds if not: rates
    count what is accepted, so what is refused or costly would otherwise count for nothing.
    """

    __slots__ = ("_answering", "_before", "_began", "_budget", "_client", "_paid", "free")

    def __init__(self, answering: Coroutine[Any, Any, None]) -> None:
        self._answering = answering
        self._before = self._began = self._paid = self.free = 0.0
        self._budget: CpuBudget | None = None
        self._client = 0

    def charge(self, budget: CpuBudget, client: int) -> None:
        """Name the client, once it is known."""
        self._budget, self._client = budget, client

    def require(self, free: float) -> None:
        """Charge what was spent so far; raises a Problem, 429, where more than `free` of it is beyond the budget."""
        if self._budget is not None:
            spent = self._before + time.thread_time() - self._began
            self._budget.charge(self._client, spent - self._paid)
            self._paid = spent
            self._budget.require(self._client, free)

    def settle(self) -> None:
        """Charge the rest, when the request is answered."""
        owed = max(0.0, self._before - self.free) - self._paid
        if owed and self._budget is not None:
            self._budget.charge(self._client, owed)

    def __await__(self) -> Generator[Any, Any, None]:
        return self

    def __iter__(self) -> Meter:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any) -> Any:
        """Run the coroutine until it waits for something."""
        self._began = time.thread_time()
        try:
            return self._answering.send(value)
        finally:
            self._before += time.thread_time() - self._began

    def throw(self, *error: Any) -> Any:
        """Run the coroutine with an error, such as that its task is cancelled."""
        self._began = time.thread_time()
        try:
            return self._answering.throw(*error)
        finally:
            self._before += time.thread_time() - self._began

    def close(self) -> None:
        """End the coroutine."""
        self._answering.close()
