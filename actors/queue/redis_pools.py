"""How Redis is reached: at its address, or wherever its Sentinels say that the master is now."""

from __future__ import annotations

from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool

from settings import Sentinels, Settings, cannot_start, redis_address

# redis-py's own limit is 100, at which a worker of many threads could not acknowledge what it has done.
CONNECTIONS = 10_000


def pool(current: Settings, timeout: float) -> redis.ConnectionPool:
    """Connections to REDIS_URL, with so many seconds for each answer. Connects to nothing yet.

    A command that is sent again rings twice, and counts twice: nothing is ever retried in here. With Sentinels
    each new connection asks them for the master, and one whose server turns out to be a replica is closed.
    """
    watched = current.sentinels
    if watched is not None:
        return _watched(watched, _bounded(watched.options, current, timeout))
    server = current.redis_server
    return redis.ConnectionPool(connection_class=_kind(server.scheme), **_bounded(server.options, current, timeout))


def make_sure_of_room(pool: redis.ConnectionPool, needed: int) -> None:
    """End this process if its pool may not hold so many connections: what does not get one fails at once."""
    if pool.max_connections < needed:
        cannot_start(
            f"REDIS_URL has max_connections={pool.max_connections}, and a worker of so many threads needs {needed}: "
            "raise it, leave it out, or start the worker with fewer threads"
        )


def _bounded(options: Any, current: Settings, timeout: float) -> dict[str, Any]:
    connecting = options.get("socket_connect_timeout", timeout)
    # Who may wait for less than REDIS_TIMEOUT may not wait longer for a connection either.
    bound = connecting if timeout >= current.redis_timeout else min(connecting, timeout)
    own = {"socket_timeout": timeout, "socket_connect_timeout": bound, "retry": Retry(NoBackoff(), 0)}
    return {"max_connections": CONNECTIONS, **options, **own}


def _kind(scheme: str) -> type[Connection | UnixDomainSocketConnection]:
    if scheme in redis_address.UNIX:
        return UnixDomainSocketConnection
    return SSLConnection if scheme in redis_address.TLS else Connection


def _watched(watched: Sentinels, options: dict[str, Any]) -> redis.ConnectionPool:
    secured = options | {"ssl": watched.tls}
    credentials = {"username": watched.sentinel_user or None, "password": watched.sentinel_password or None}
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        watched.nodes, sentinel_kwargs=secured | credentials
    )
    return SentinelConnectionPool(  # type: ignore[no-untyped-call]
        watched.master,
        sentinel,
        db=watched.database,
        username=watched.user or None,
        password=watched.password or None,
        **secured,
    )
