"""Namespace: the prefix of every key of this installation in Redis."""

from __future__ import annotations

import redis

from db import installation
from db.database import Unavailable, connection, database
from settings import Settings

PREFIX = "notify:"
DIGITS = 12  # hexadecimal digits of the installation's identity that the namespace contains


class NamespaceUnknown(redis.ConnectionError):
    """The database, which knows the prefix of the keys, is not available. Handled as if Redis were down."""


def stored(current: Settings) -> str:
    """Return REDIS_NAMESPACE, or a namespace derived from the installation's identity in the database.

    Raises:
        Unavailable: The database is not available.
    """
    if current.redis_namespace:
        return current.redis_namespace
    was_closed = database.is_closed()
    try:
        with connection():
            return f"{PREFIX}{installation.identity().hex[:DIGITS]}"
    finally:
        # Most threads that use Redis never need the database again.
        if was_closed:
            database.close()


def needed(current: Settings) -> str:
    """Return the result of `stored`, for code that handles errors of Redis.

    Raises:
        NamespaceUnknown: The database is not available.
    """
    try:
        return stored(current)
    except Unavailable as error:
        raise NamespaceUnknown(f"the database, which knows the prefix of the Redis keys, failed: {error}") from None
