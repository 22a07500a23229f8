"""The namespace: how every key of this installation in Redis begins."""

from __future__ import annotations

import redis

from db import installation
from db.database import Unavailable, connection, database
from settings import Settings

PREFIX = "notify:"
DIGITS = 12  # of the identity, in hexadecimal


class NamespaceUnknown(redis.ConnectionError):
    """The database, which names the keys, cannot be asked: treated as a Redis that is away."""


def stored(current: Settings) -> str:
    """Return REDIS_NAMESPACE, or the one that follows from the identity in the database.

    Raises:
        Unavailable: the database cannot be asked.
    """
    if current.redis_namespace:
        return current.redis_namespace
    was_closed = database.is_closed()
    try:
        with connection():
            return f"{PREFIX}{installation.identity().hex[:DIGITS]}"
    finally:
        # Most threads that talk to Redis never need the database again.
        if was_closed:
            database.close()


def needed(current: Settings) -> str:
    """As `stored`, for code that handles faults of Redis.

    Raises:
        NamespaceUnknown: the database cannot be asked.
    """
    try:
        return stored(current)
    except Unavailable as error:
        raise NamespaceUnknown(f"the keys of Redis are not known without the database: {error}") from None
