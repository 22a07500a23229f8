"""Meaning of errors from servers that no test starts here: Redis 6.2 and 8, protected mode, a script that blocks."""

from __future__ import annotations

import pytest
import redis
from redis import exceptions

from actors.queue import redis_faults

# As redis-py raises them: it takes the first word from some messages.
SAID: list[tuple[Exception, str]] = [
    (exceptions.ConnectionError("DENIED Redis is running in protected mode because protected mode"), "protected mode"),
    (exceptions.ResponseError("Error running script: @user_script:58: -OOM command not allowed"), "it is full (OOM)"),
    (exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."), "it is full (OOM)"),
    (exceptions.ResponseError("ACL failure in script: User x has no permissions"), "its user lacks a right"),
    (exceptions.NoPermissionError("this user has no permissions to run the 'exec' command or its"), "may not run EXEC"),
    (
        exceptions.NoPermissionError("User x has no permissions to run the 'script|load' command"),
        "may not run SCRIPT LOAD",
    ),
    (exceptions.ResponseError("unknown command `BLMOVE`, with args beginning with: "), "not know a required command"),
    (exceptions.ResponseError("Unknown Redis command called from script script: x"), "not know a required command"),
    (exceptions.ResponseError("BUSY Redis is busy running a script."), "a script of another program"),
    (exceptions.MovedError("1234 10.0.0.1:6379"), "cluster mode"),
    (exceptions.ResponseError("Script attempted to access a non local key in a cluster node"), "cluster mode"),
    (exceptions.ResponseError("MASTERDOWN Link with MASTER is down"), "has lost its primary"),
    (exceptions.ConnectionError("max number of clients reached"), "accepts no more connections"),
    (exceptions.AuthenticationError("invalid username-password pair"), "refuses the user or the password"),
    (exceptions.ResponseError("something new"), "it refuses a required command: something new"),
]
AWAY: list[Exception] = [
    redis.BusyLoadingError("Redis is loading the dataset in memory"),
    redis.TimeoutError("Timeout reading from socket"),
    redis.ConnectionError("Error 111 connecting to 127.0.0.1:9. Connection refused."),
    ConnectionResetError("reset"),
]


@pytest.mark.parametrize(("error", "what"), SAID)
def test_an_error_of_redis_becomes_a_fault_with_a_fix(error: Exception, what: str) -> None:
    found = redis_faults.of(error)
    assert what in found.what
    assert found.fix
    assert not found.away


@pytest.mark.parametrize("error", AWAY)
def test_a_fault_that_ends_by_itself_is_marked_as_away(error: Exception) -> None:
    assert redis_faults.of(error).away
