"""Detect two databases that use the same Redis namespace: every worker registers its database in Redis."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import redis

from db import installation
from db.database import connection, database

if TYPE_CHECKING:
    from actors.queue.broker import NotificationBroker

RECENT = 60.0  # seconds; a database that registered within this time is in use
KEPT = 86_400.0  # seconds that a registration is kept
SCANNED = 1_000  # keys per SCAN command


def place() -> str:
    """Return a text that identifies this database and differs in a restored dump of it.

    Raises:
        Unavailable: The database is not available.
    """
    was_closed = database.is_closed()
    try:
        with connection():
            return f"{installation.identity()}/{installation.place()}"
    finally:
        if was_closed:
            database.close()


def tell(broker: NotificationBroker, mine: str) -> None:
    """Register the database `mine` as a user of the broker's namespace.

    Raises:
        redis.RedisError: Redis is not available.
    """
    now = time.time()
    with broker.client.pipeline(transaction=False) as pipe:
        pipe.zadd(_key(broker), {mine: now})
        pipe.zremrangebyscore(_key(broker), 0, now - KEPT)
        pipe.execute()


def others(broker: NotificationBroker, mine: str) -> int:
    """Return how many other databases registered in this namespace in the last minute.

    Raises:
        redis.RedisError: Redis is not available.
    """
    found = broker.client.zrangebyscore(_key(broker), time.time() - RECENT, "+inf")
    return sum(member != mine.encode() for member in found)


def neighbours(broker: NotificationBroker, most: int) -> list[str]:
    """Return the namespaces of other Dramatiq programs on this Redis, searching about `most` keys.

    Raises:
        redis.RedisError: Redis is not available.
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


def _is_alive(broker: NotificationBroker, heartbeats: str) -> bool:
    """Return whether a worker sent a heartbeat in the last day; True if this user may not read the key."""
    try:
        newest: list[tuple[bytes, float]] = broker.client.zrange(heartbeats, -1, -1, withscores=True)  # type: ignore[assignment]
    except redis.ResponseError:
        return True
    return any(at / 1000 > time.time() - KEPT for _, at in newest)


def _key(broker: NotificationBroker) -> str:
    return f"{broker.namespace}:__installations__"
