"""Which databases use this namespace: each worker says so in Redis, so that two of them are noticed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import redis

from db import installation
from db.database import connection, database

if TYPE_CHECKING:
    from actors.queue.broker import Doorbell

RECENT = 60.0  # seconds; who was heard of so lately is at work
KEPT = 86_400.0  # seconds
SCANNED = 1_000  # keys in one step


def place() -> str:
    """Return what tells this database from all others, also from a restored dump of it.

    Raises:
        Unavailable: the database cannot be asked.
    """
    was_closed = database.is_closed()
    try:
        with connection():
            return f"{installation.identity()}/{installation.place()}"
    finally:
        if was_closed:
            database.close()


def tell(broker: Doorbell, mine: str) -> None:
    """Say that the workers of a database use the namespace of this broker.

    Raises:
        redis.RedisError: Redis cannot be asked.
    """
    now = time.time()
    with broker.client.pipeline(transaction=False) as pipe:
        pipe.zadd(_key(broker), {mine: now})
        pipe.zremrangebyscore(_key(broker), 0, now - KEPT)
        pipe.execute()


def others(broker: Doorbell, mine: str) -> int:
    """Return how many other databases' workers were heard of in this namespace in the last minute.

    Raises:
        redis.RedisError: Redis cannot be asked.
    """
    found = broker.client.zrangebyscore(_key(broker), time.time() - RECENT, "+inf")
    return sum(member != mine.encode() for member in found)


def neighbours(broker: Doorbell, most: int) -> list[str]:
    """Return the namespaces of other programs that use Dramatiq on this Redis, seen among about `most` keys.

    Raises:
        redis.RedisError: Redis cannot be asked.
    """
    end = ":__heartbeats__"
    found: set[str] = set()
    cursor, seen = 0, 0
    keys: list[bytes]
    while seen < most:
        cursor, keys = broker.client.scan(cursor, match=f"*{end}", count=SCANNED)  # type: ignore[assignment]
        found |= {key.decode(errors="replace") for key in keys}
        seen += SCANNED
        if not cursor:
            break
    return sorted(key.removesuffix(end) for key in found - {f"{broker.namespace}{end}"} if _is_alive(broker, key))


def _is_alive(broker: Doorbell, heartbeats: str) -> bool:
    """Whether a worker was heard of in the last day; also where this user may not look."""
    try:
        newest: list[tuple[bytes, float]] = broker.client.zrange(heartbeats, -1, -1, withscores=True)  # type: ignore[assignment]
    except redis.ResponseError:
        return True
    return any(at / 1000 > time.time() - KEPT for _, at in newest)


def _key(broker: Doorbell) -> str:
    return f"{broker.namespace}:__installations__"
