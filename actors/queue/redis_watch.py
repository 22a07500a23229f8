"""What a worker says about a Redis that answers and cannot be used: in its log, when it begins and when it ends."""

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

EVERY = 15.0  # seconds between two looks


class RedisWatch:
    """Looks from time to time; a worker goes on whatever it sees, because what is wrong may be put right there."""

    def __init__(self) -> None:
        self._at = -math.inf
        self._said: Fault | None = None
        self._place: str | None = None
        self._shared = False

    def look(self) -> None:
        """Look, if it is time to.

        Raises:
            redis.RedisError: Redis is away.
            Unavailable: the database cannot be asked.
        """
        if time.monotonic() - self._at < EVERY:
            return
        self._at = time.monotonic()
        fault = redis_probe.fault(get_broker())
        if fault is not None and fault.away:
            # The caller must not wait for a Redis that hangs a second time: its heartbeat would be late.
            raise redis.ConnectionError(fault.what)
        self._say(fault)
        self._place = self._place or presence.place()
        with suppress(redis.ResponseError):  # `_say` has named the fault.
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
                fix="another database's workers take our messages: set REDIS_NAMESPACE to another name for one of them",
            )
        self._shared = bool(count)
