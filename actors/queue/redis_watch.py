"""Log when a Redis that answers becomes unusable for a worker, and when it is usable again."""

from __future__ import annotations

import math
import time
from contextlib import suppress

import redis

from actors.queue import presence, redis_probe
from actors.queue.broker import get_broker
from actors.queue.redis_faults import Fault
from runtime import logs

log = logs.get("redis")

EVERY = 15.0  # seconds between two checks


class RedisWatch:
    """Periodic check of Redis. A worker keeps running whatever it finds, because Redis may be repaired meanwhile."""

    def __init__(self) -> None:
        self._at = -math.inf
        self._said: Fault | None = None
        self._place: str | None = None
        self._shared = False

    def look(self) -> None:
        """Check Redis if the last check was EVERY seconds ago.

        Raises:
            redis.RedisError: Redis does not answer.
            Unavailable: The database is not available.
        """
        if time.monotonic() - self._at < EVERY:
            return
        self._at = time.monotonic()
        fault = redis_probe.fault(get_broker())
        if fault is not None and fault.away:
            # Let the caller skip its own commands: waiting for Redis a second time would delay its heartbeat.
            raise redis.ConnectionError(fault.what)
        self._say(fault)
        self._place = self._place or presence.place()
        with suppress(redis.ResponseError):  # `_say` has logged the fault.
            presence.tell(get_broker(), self._place)
            self._tell_of_others(presence.others(get_broker(), self._place))

    def _say(self, fault: Fault | None) -> None:
        if fault is not None and fault != self._said:
            log.error("redis.unusable", reason=fault.what, fix=fault.fix)
        elif fault is None and self._said is not None:
            log.info("redis.usable")
        self._said = fault

    def _tell_of_others(self, count: int) -> None:
        if count and not self._shared:
            log.error(
                "redis.namespace_shared",
                namespace=get_broker().namespace,
                fix="workers of another database take our messages: set another REDIS_NAMESPACE for one of the two",
            )
        self._shared = bool(count)
