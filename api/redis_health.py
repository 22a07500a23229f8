"""Whether Redis can be used, for /readyz and /metrics."""

from __future__ import annotations

import asyncio
import math
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import redis

import logs
from actors import redis_probe
from actors.broker import broker
from actors.redis_faults import Fault

log = logs.get("api")

KEPT = 1.0  # seconds for which an answer is good, however many ask


class RedisHealth:
    """One per API process."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="redis-probe")
        self._at = -math.inf
        self._fault: Fault | None = None
        self._looking: asyncio.Future[Fault | None] | None = None

    async def fault(self) -> Fault | None:
        """Return why nothing can be enqueued now; None where all is well."""
        if self._looking is None or self._looking.done():
            if time.monotonic() - self._at < KEPT:
                return self._fault
            self._looking = asyncio.get_running_loop().run_in_executor(self._thread, self._look)
        return await asyncio.shield(self._looking)

    async def process_shutdown(self, _scope: object, _event: object) -> None:
        """End the thread; nobody waits for what it does."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _look(self) -> Fault | None:
        found = redis_probe.fault(broker)
        if found is None:
            with suppress(redis.RedisError):  # Dramatiq's maintenance does it later.
                redis_probe.leave(broker)
        if found != self._fault:
            self._tell(found)
        self._fault, self._at = found, time.monotonic()
        return found

    def _tell(self, found: Fault | None) -> None:
        if found is None:
            log.info("redis.usable")
        elif found.away:
            log.warning("redis.unavailable", error=found.what)
        else:
            log.error("redis.unusable", reason=found.what, fix=found.fix)
