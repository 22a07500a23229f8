"""Measures the CPU time that a request takes on the event loop, and charges it to the client."""

from __future__ import annotations

import time
from collections.abc import Coroutine, Generator
from typing import Any

from api.access.cpu_budget import CpuBudget

METER = "notification-system.meter"  # in the scope, for methods that may have a body: the Meter of the request


class Meter:
    """Measures a coroutine that answers a request: await the Meter in its place.

    The client is charged for all CPU time of a refused request, and for the time beyond `free` seconds of an accepted
    one. Rates count accepted notifications only, so refused and costly requests would otherwise be free.
    """

    __slots__ = ("_answering", "_before", "_began", "_client", "_cpu_budget", "_paid", "free")

    def __init__(self, answering: Coroutine[Any, Any, None]) -> None:
        self._answering = answering
        self._before = self._began = self._paid = self.free = 0.0
        self._cpu_budget: CpuBudget | None = None
        self._client = 0

    def charge(self, cpu_budget: CpuBudget, client: int) -> None:
        """Set the client to charge, once it is known."""
        self._cpu_budget, self._client = cpu_budget, client

    def require(self, free: float) -> None:
        """Charge the time spent so far; raise the Problem 429 if the client owes more than `free` seconds."""
        if self._cpu_budget is not None:
            spent = self._before + time.thread_time() - self._began
            self._cpu_budget.charge(self._client, spent - self._paid)
            self._paid = spent
            self._cpu_budget.require(self._client, free)

    def settle(self) -> None:
        """Charge the rest once the request is answered."""
        owed = max(0.0, self._before - self.free) - self._paid
        if owed and self._cpu_budget is not None:
            self._cpu_budget.charge(self._client, owed)

    def __await__(self) -> Generator[Any, Any, None]:
        return self

    def __iter__(self) -> Meter:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any) -> Any:
        """Run the coroutine until its next suspension."""
        self._began = time.thread_time()
        try:
            return self._answering.send(value)
        finally:
            self._before += time.thread_time() - self._began

    def throw(self, *error: Any) -> Any:
        """Run the coroutine with an exception, such as the cancellation of its task."""
        self._began = time.thread_time()
        try:
            return self._answering.throw(*error)
        finally:
            self._before += time.thread_time() - self._began

    def close(self) -> None:
        """Close the coroutine."""
        self._answering.close()
