"""Dramatiq's event loop for actors that are coroutines, as one of uvloop's."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

import uvloop
from dramatiq.asyncio import EventLoopThread, get_event_loop_thread, set_event_loop_thread
from dramatiq.middleware.asyncio import AsyncIO

T = TypeVar("T")

STARTS_WITHIN = 30.0  # seconds, on a machine that has much to do


class Uvloop(AsyncIO):
    """As Dramatiq's AsyncIO, which takes the loop of the standard library and waits a second for it to start."""

    def before_worker_boot(self, broker: Any, worker: Any) -> None:
        thread = EventLoopThread(self.logger)
        thread.daemon = True  # A worker that fails at its start ends.
        thread.loop.close()
        thread.loop = uvloop.new_event_loop()
        thread.start(timeout=STARTS_WITHIN)
        set_event_loop_thread(thread)


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the loop of this worker process, from another thread, and return what it returns."""
    thread = get_event_loop_thread()
    if thread is None:
        raise RuntimeError("this is no worker process")
    return thread.run_coroutine(coroutine)
