"""Find out which of the required commands the Redis user may run, and on which keys.

The commands are queued in a transaction, which is then discarded. Redis checks the rights to a command and its keys
when the command is queued, so the check is cheap and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import redis
from redis.exceptions import NoPermissionError

NO_SCRIPT = "0" * 40

# Commands of Dramatiq's script and of this project; {n} is the namespace.
_QUEUE = "{n}:__probe__"
_MESSAGES, _FETCHED, _ALIVE = f"{_QUEUE}.msgs", "{n}:__acks__.__probe__", "{n}:__heartbeats__"
_COUNTER, _BEFORE = "{n}:limits:{{probe}}", "{n}:limits:{{probe}}/-1"
NEEDED: tuple[tuple[str, ...], ...] = (
    # Scripts, whose only declared key is the namespace.
    ("EVALSHA", NO_SCRIPT, "1", "{n}", "probe"),
    ("SCRIPT LOAD", "return 1"),
    # Queues, in Dramatiq's script.
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
    # Broker and upkeep.
    ("BLMOVE", _QUEUE, _QUEUE, "LEFT", "LEFT", "0.01"),
    ("LLEN", _QUEUE),
    ("LINDEX", _QUEUE, "0"),
    ("HLEN", _MESSAGES),
    ("ZCARD", _ALIVE),
    ("ZREMRANGEBYSCORE", _ALIVE, "0", "0"),
    ("PING",),
    # Shares of the connections to the mail server.
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
    """Commands that the server does not know, commands that the user may not run, and keys that it may not use.

    `keys` holds patterns as in an ACL rule.
    """

    unknown: list[str]
    commands: list[str]
    keys: list[str]


def missing(pool: redis.ConnectionPool, namespace: str) -> Missing:
    """Return the rights that the Redis user lacks.

    Raises:
        redis.RedisError: Redis is not available, or refuses commands for another reason than rights.
    """
    found = Missing([], [], [])
    for command, error in _refused(pool, namespace):
        said = str(error).lower()
        if "unknown" in said:
            found.unknown.append(command)
        elif "key" in said and "to run" not in said:
            # EVALSHA uses the key of the namespace itself, all other commands use keys below it.
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
                if begin == ("MULTI",):  # Without a transaction the commands would be run.
                    return
    finally:
        # The transaction may still be open; it ends with the connection.
        connection.disconnect()  # type: ignore[no-untyped-call]
        pool.release(connection)


def _is_about_rights(error: Exception) -> bool:
    # A command that was renamed in the configuration is unknown, which is a way to forbid it.
    said = str(error).lower()
    return isinstance(error, NoPermissionError) or "no permissions" in said or "unknown" in said


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
