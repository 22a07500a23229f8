"""Event loop of a worker process: Dramatiq's AsyncIO middleware with uvloop."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

import uvloop
from dramatiq.asyncio import EventLoopThread, get_event_loop_thread, set_event_loop_thread
from dramatiq.middleware.asyncio import AsyncIO

T = TypeVar("T")

STARTS_WITHIN = 30.0  # seconds: a busy machine may need several


class Uvloop(AsyncIO):
    """AsyncIO middleware that runs uvloop and gives it STARTS_WITHIN seconds to start instead of one."""

    def before_worker_boot(self, broker: Any, worker: Any) -> None:
        thread = EventLoopThread(self.logger)
        thread.daemon = True  # It must not keep a worker alive that fails while it boots.
        thread.loop.close()
        thread.loop = uvloop.new_event_loop()
        thread.start(timeout=STARTS_WITHIN)
        set_event_loop_thread(thread)


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the event loop of this worker process and return its result. Call from another thread."""
    thread = get_event_loop_thread()
    if thread is None:
        raise RuntimeError("the event loop runs only in a worker process")
    return thread.run_coroutine(coroutine)
