"""An event loop in a thread, for tests that are no coroutines: uvloop's, as in workers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from functools import cache
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = uvloop.new_event_loop()
    threading.Thread(target=loop.run_forever, name="loop of tests", daemon=True).start()
    return loop


def run(coroutine: Coroutine[Any, Any, T], within: float = 60.0) -> T:
    """Run a coroutine on the loop of all tests, from any other thread, and return what it returns."""
    return submit(coroutine).result(within)


def submit(coroutine: Coroutine[Any, Any, T]) -> Future[T]:
    """Start a coroutine like `run`, but return a future at once instead of waiting."""
    return asyncio.run_coroutine_threadsafe(coroutine, _loop())
