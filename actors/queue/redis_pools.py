"""Connection pools for Redis, at the address of REDIS_URL or at the master that its Sentinels name."""

from __future__ import annotations

from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool

from settings import Sentinels, Settings, cannot_start, redis_address

# redis-py's default limit is 100: a worker with many threads could not acknowledge its messages.
CONNECTIONS = 10_000


def pool(current: Settings, timeout: float) -> redis.ConnectionPool:
    """Return a pool of connections to REDIS_URL, without connecting. `timeout`: seconds to wait for each answer.

    Commands are never retried: a repeated command would enqueue or count twice. With Sentinels, each new connection
    asks them for the master, and a connection whose server has become a replica is closed.
    """
    watched = current.sentinels
    if watched is not None:
        return _watched(watched, _bounded(watched.options, current, timeout))
    server = current.redis_server
    return redis.ConnectionPool(connection_class=_kind(server.scheme), **_bounded(server.options, current, timeout))


def make_sure_of_room(pool: redis.ConnectionPool, needed: int) -> None:
    """End this process if its pool may not hold `needed` connections: a command without one would fail at once."""
    if pool.max_connections < needed:
        cannot_start(
            f"REDIS_URL has max_connections={pool.max_connections}, but a worker with this number of threads needs "
            f"{needed}: raise or remove max_connections, or start the worker with fewer --threads"
        )


def _bounded(options: Any, current: Settings, timeout: float) -> dict[str, Any]:
    connecting = options.get("socket_connect_timeout", timeout)
    # A caller with a shorter time-out than REDIS_TIMEOUT needs it for connecting too.
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
