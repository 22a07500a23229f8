"""Check of Redis for /readyz and /metrics."""

from __future__ import annotations

import asyncio
import math
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import redis

from actors.queue import redis_faults, redis_probe
from actors.queue.broker import get_broker
from actors.queue.redis_faults import Fault
from runtime import logs

log = logs.get("api")

KEPT = 1.0  # seconds between two test messages through Redis; PING is sent each time


class RedisHealth:
    """Finds out whether Redis is usable. There is one per API process."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="redis-probe")
        self._at = -math.inf
        self._fault: Fault | None = None
        self._looking: asyncio.Future[Fault | None] | None = None

    async def fault(self) -> Fault | None:
        """Return why nothing can be enqueued now, None if it can. Concurrent callers share one check."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().run_in_executor(self._thread, self._look)
        return await asyncio.shield(self._looking)

    async def process_shutdown(self, _scope: object, _event: object) -> None:
        """Shut down the thread without waiting for its work."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _look(self) -> Fault | None:
        found = self._away() or (self._tried() if time.monotonic() - self._at >= KEPT else self._fault)
        if found != self._fault:
            self._tell(found)
        self._fault = found
        return found

    def _away(self) -> Fault | None:
        try:
            get_broker().client.ping()
        except redis.RedisError as error:
            self._at = -math.inf
            return redis_faults.of(error)
        return None

    def _tried(self) -> Fault | None:
        found = redis_probe.fault(get_broker())
        if found is None:
            with suppress(redis.RedisError):  # Dramatiq's maintenance removes it later.
                redis_probe.leave(get_broker())
        self._at = time.monotonic()
        return found

    def _tell(self, found: Fault | None) -> None:
        if found is None:
            log.info("redis.usable")
        elif found.away:
            log.warning("redis.unavailable", error=found.what)
        else:
            log.error("redis.unusable", reason=found.what, fix=found.fix)
