"""Which of the commands that are needed this user of Redis may run, on which keys.

Each is queued in a transaction that is then discarded: Redis checks the command and its keys when it is
queued, and nothing is run. So it is cheap, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import redis
from redis.exceptions import NoPermissionError

NO_SCRIPT = "0" * 40

# {n} is the namespace. What Dramatiq's script does with its keys, and what this project does itself.
_QUEUE = "{n}:__probe__"
_MESSAGES, _FETCHED, _ALIVE = f"{_QUEUE}.msgs", "{n}:__acks__.__probe__", "{n}:__heartbeats__"
_COUNTER, _BEFORE = "{n}:limits:{{probe}}", "{n}:limits:{{probe}}/-1"
NEEDED: tuple[tuple[str, ...], ...] = (
    # Scripts: their key is the namespace alone.
    ("EVALSHA", NO_SCRIPT, "1", "{n}", "probe"),
    ("SCRIPT LOAD", "return 1"),
    # The queues, in Dramatiq's script.
    ("ZADD", _ALIVE, "0", "probe"),
    ("ZRANGEBYSCORE", _ALIVE, "0", "0"),
    ("ZREM", _ALIVE, "probe"),
    ("KEYS", _FETCHED),
    ("SMEMBERS", _FETCHED),
    ("SADD", _FETCHED, "probe"),
    ("SREM", _FETCHED, "probe"),
    ("DEL", _FETCHED),
    ("RPUSH", _QUEUE, "probe"),
    ("LPOP", _QUEUE),
    ("HSET", _MESSAGES, "probe", "probe"),
    ("HGET", _MESSAGES, "probe"),
    ("HMGET", _MESSAGES, "probe"),
    ("HEXISTS", _MESSAGES, "probe"),
    ("HDEL", _MESSAGES, "probe"),
    # The broker and upkeep.
    ("BLMOVE", _QUEUE, _QUEUE, "LEFT", "LEFT", "0.01"),
    ("LLEN", _QUEUE),
    ("LINDEX", _QUEUE, "0"),
    ("HLEN", _MESSAGES),
    ("ZCARD", _ALIVE),
    ("ZREMRANGEBYSCORE", _ALIVE, "0", "0"),
    ("PING",),
    # The shares of the connections to the mail server.
    ("TIME",),
    # Rates and quotas.
    ("GET", _COUNTER),
    ("SET", _COUNTER, "0", "PX", "1"),
    ("INCRBY", _COUNTER, "0"),
    ("EXISTS", _COUNTER),
    ("PTTL", _COUNTER),
    ("RENAME", _COUNTER, _BEFORE),
)


class Missing(NamedTuple):
    """Commands that the server does not know, commands that the user may not run, key patterns it may not use."""

    unknown: list[str]
    commands: list[str]
    keys: list[str]


def missing(pool: redis.ConnectionPool, namespace: str) -> Missing:
    """Return what this user may not do.

    Raises:
        redis.RedisError: Redis cannot be asked, or refuses everything for a reason that is no right.
    """
    found = Missing([], [], [])
    for command, error in _refused(pool, namespace):
        said = str(error).lower()
        if "unknown" in said:
            found.unknown.append(command)
        elif "key" in said and "to run" not in said:
            # Of the namespace's own key, or of those below it.
            found.keys.append(f"~{namespace}" if command == "EVALSHA" else f"~{namespace}:*")
        else:
            found.commands.append(command)
    return Missing(*map(_unique, found))


def _refused(pool: redis.ConnectionPool, namespace: str) -> Iterator[tuple[str, redis.ResponseError]]:
    connection = pool.get_connection()
    try:
        for begin in (("MULTI",), *NEEDED, ("DISCARD",)):
            words = [word.format(n=namespace) for word in begin]
            try:
                connection.send_command(*words)  # type: ignore[no-untyped-call]
                connection.read_response()
            except redis.ResponseError as error:
                if not _is_about_rights(error):
                    raise
                yield begin[0], error
                if begin == ("MULTI",):  # Without it the commands would be run.
                    return
    finally:
        # Whatever state the transaction is in, nobody goes on with it.
        connection.disconnect()  # type: ignore[no-untyped-call]
        pool.release(connection)


def _is_about_rights(error: Exception) -> bool:
    # Who has renamed a command away has forbidden it too.
    said = str(error).lower()
    return isinstance(error, NoPermissionError) or "no permissions" in said or "unknown" in said


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
