"""AsyncClient for tests that are written for Client: one set of tests holds both."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any

from notification_client import AsyncClient


class Blocking:
    """Waits for whatever an object of AsyncClient returns."""

    def __init__(self, target: Any, runner: asyncio.Runner) -> None:
        self._target, self._runner = target, runner

    @classmethod
    def client(cls, runner: asyncio.Runner, *endpoint: Any, **options: Any) -> Any:
        """Return a client whose methods wait."""
        return cls(AsyncClient(*endpoint, **options), runner)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        return self._waiting(value) if callable(value) else Blocking(value, self._runner)

    def _waiting(self, method: Any) -> Any:
        def call(*args: Any, **more: Any) -> Any:
            result = method(*args, **more)
            if inspect.isasyncgen(result):
                return self._items(result)
            return self._runner.run(result) if inspect.iscoroutine(result) else result

        return call

    def _items(self, items: AsyncIterator[Any]) -> Iterator[Any]:
        async def following() -> Any:
            return await anext(items)

        try:
            while True:
                try:
                    item = self._runner.run(following())
                except StopAsyncIteration:
                    return
                yield item
        finally:
            self._runner.run(items.aclose())  # type: ignore[attr-defined]
