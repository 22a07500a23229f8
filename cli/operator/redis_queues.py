"""The queues in Redis, for commands: Redis may be away, and all else that they show is still worth showing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import redis

from cli import lazy
from settings import Settings


class Doorbell:
    """The broker at REDIS_URL."""

    def __init__(self, chosen: Settings) -> None:
        chosen.require("redis_url")
        self._broker = lazy.attribute("actors.queue.broker:connect")(chosen)
        self.error: str | None = None

    def depths(self) -> Mapping[str, Any]:
        """By lane, how many bells wait and how many are not done with; empty, with an `error`, where Redis is away."""
        try:
            depths: Mapping[str, Any] = self._broker.depths()
        except redis.RedisError as error:
            self.error = f"Redis at REDIS_URL cannot be asked: {why(error)}"
            return {}
        self.error = None
        return depths


def why(error: Exception) -> str:
    """In words; of a Sentinel's without the connections that redis-py adds."""
    if isinstance(error, (TimeoutError, redis.TimeoutError)):
        return "no answer in time"
    return str(error).partition(" : <")[0]
