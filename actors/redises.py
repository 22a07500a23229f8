"""How Redis is reached: at its address, or wherever its Sentinels say that the master is now."""

from __future__ import annotations

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool

from settings import Settings


def pool(current: Settings, timeout: float) -> redis.ConnectionPool:
    """Connections to REDIS_URL, with so many seconds for each answer. Connects to nothing yet.

    A command that is sent again rings twice, and counts twice: nothing is ever retried in here. With Sentinels
    each new connection asks them for the master, and one whose server turns out to be a replica is closed.
    """
    options = {"socket_timeout": timeout, "socket_connect_timeout": timeout, "retry": Retry(NoBackoff(), 0)}
    watched = current.sentinels
    if watched is None:
        return redis.ConnectionPool.from_url(current.redis_url, **options)
    secured = options | {"ssl": watched.tls}
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        watched.nodes, sentinel_kwargs=secured | {"password": watched.sentinel_password or None}
    )
    return SentinelConnectionPool(  # type: ignore[no-untyped-call]
        watched.master,
        sentinel,
        db=watched.database,
        username=watched.user or None,
        password=watched.password or None,
        **secured,
    )
