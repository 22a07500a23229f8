"""Depths of the queues in Redis, for commands that also work while Redis does not answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import redis

from cli import lazy
from settings import Settings


class RedisQueues:
    """Client of the broker at REDIS_URL. `error` is the reason why the last question had no answer, or None."""

    def __init__(self, chosen: Settings) -> None:
        chosen.redis.require()
        self._broker = lazy.attribute("actors.queue.broker:connect")(chosen)
        self.error: str | None = None

    def depths(self) -> Mapping[str, Any]:
        """Return by queue how many wake-up messages wait and how many are not acknowledged; empty after an error."""
        try:
            depths: Mapping[str, Any] = self._broker.depths()
        except redis.RedisError as error:
            self.error = f"Redis at REDIS_URL does not answer: {why(error)}"
            return {}
        self.error = None
        return depths


def why(error: Exception) -> str:
    """Return the reason of an error in words, without the list of connections that redis-py adds for Sentinel."""
    if isinstance(error, (TimeoutError, redis.TimeoutError)):
        return "timeout"
    return str(error).partition(" : <")[0]
