"""Explain errors of Redis and how to fix them, for /readyz, the log and `notify doctor`."""

from __future__ import annotations

import re
from typing import NamedTuple

import redis
from redis.exceptions import (
    AskError,
    AuthenticationError,
    ClusterCrossSlotError,
    ClusterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
)


class Fault(NamedTuple):
    """Problem with Redis. `what` and `fix` are parts of a sentence.

    `away`: Redis does not answer and may recover by itself. `rights`: a command or key is not allowed.
    """

    what: str
    fix: str
    away: bool = False
    rights: bool = False

    def __str__(self) -> str:
        return f"{self.what}: {self.fix}"


BACK = "start it or correct REDIS_URL; no notification is lost while it is down"
# Pattern of the message (an error inside a script has its words in the middle), exception classes (redis-py removes
# the first word from their messages), and the fault.
_ANSWERS: tuple[tuple[str, tuple[type[Exception], ...], Fault], ...] = (
    (
        r"\bCLUSTERDOWN\b|\bCROSSSLOT\b|\bMOVED\b|\bASK\b|non local key|[Cc]luster mode",
        (ClusterDownError, ClusterCrossSlotError, AskError),
        Fault(
            "it runs in cluster mode, which may store the keys of one queue on different nodes",
            "point REDIS_URL at a Redis that is not a cluster, or at Sentinels with redis+sentinel://",
        ),
    ),
    (
        r"\bOOM\b",
        (OutOfMemoryError,),
        Fault("it is full (OOM) and accepts no writes", "raise maxmemory, or find out what else is stored in it"),
    ),
    (
        r"\bREADONLY\b|read only replica",
        (ReadOnlyError,),
        Fault("it is a replica and accepts no writes", "point REDIS_URL at the primary"),
    ),
    (
        r"\bMISCONF\b",
        (),
        Fault(
            "it accepts no writes because it could not save to its disk (MISCONF)",
            "check its log and its disk; if its data need not survive a restart, set stop-writes-on-bgsave-error no",
        ),
    ),
    (
        r"\bNOREPLICAS\b",
        (),
        Fault(
            "it accepts no writes because too few replicas are connected (NOREPLICAS)",
            "start the replicas, or lower min-replicas-to-write",
        ),
    ),
    (
        r"\bWRONGPASS\b|\bNOAUTH\b|invalid password|[Aa]uthentication required|without any password configured",
        (AuthenticationError,),
        Fault(
            "it refuses the user or the password",
            "correct them in REDIS_URL: redis://user:pass@host:6379/0 (in a password, write @ as %40 and / as %2F)",
        ),
    ),
    (
        r"DB index|Invalid Database",
        (),
        Fault(
            "it has no database with that number",
            "use a smaller number at the end of REDIS_URL (usually 0 to 15), or raise `databases` in its configuration",
        ),
    ),
    (
        r"\bDENIED\b|protected mode",
        (),
        Fault(
            "it is in protected mode and refuses other machines (DENIED)",
            "set a password, or set protected-mode no if the network is private",
        ),
    ),
    (
        r"\bWRONGTYPE\b",
        (),
        Fault(
            "another program stores data of another type under our keys (WRONGTYPE)",
            "set REDIS_NAMESPACE to a name that no other program uses",
        ),
    ),
    (
        r"\bMASTERDOWN\b",
        (),
        Fault("it is a replica that has lost its primary", "point REDIS_URL at the primary"),
    ),
    (
        r"max number of clients",
        (),
        Fault("it accepts no more connections", "raise maxclients, or start fewer processes"),
    ),
    (
        r"\bBUSY\b",
        (),
        Fault("a script of another program blocks it (BUSY)", "end it with SCRIPT KILL"),
    ),
    (
        r"\bLOADING\b",
        (redis.BusyLoadingError,),
        Fault("it is still loading its data", "wait until it has finished", away=True),
    ),
)
# The last two are errors of scripts, before Redis 7.2 and since.
_RIGHTS = r"\bNOPERM\b|no permissions|user executing the script can't|ACL failure"


def forbidden(what: str) -> Fault:
    """Return the fault of a user that lacks rights; `what` begins with a verb."""
    return Fault(f"its user {what}", "give the user of REDIS_URL the rights that docs/redis.md lists", rights=True)


def unknown(commands: str) -> Fault:
    """Return the fault of a server that is too old, or whose commands were renamed."""
    fix = "use Redis 6.2 or newer, or Valkey, without rename-command"
    return Fault(f"it does not know {commands}", fix, rights=True)


def of(error: Exception) -> Fault:
    """Return the fault that an exception of redis-py stands for."""
    said = str(error).partition(" : <")[0]  # redis-py appends the connections to an error of a Sentinel
    if isinstance(error, NoPermissionError) or re.search(_RIGHTS, said):
        named = re.search(r"to run the '([^']+)' command", said)
        return forbidden(f"may not run {named[1].upper().replace('|', ' ')}" if named else "lacks a right")
    # If MULTI is unknown, a pipeline only reports EXEC without MULTI.
    if re.search(r"[Uu]nknown (Redis )?(command|subcommand)|EXEC without MULTI", said):
        return unknown("a required command")
    for pattern, kinds, fault in _ANSWERS:
        if isinstance(error, kinds) or re.search(pattern, said):
            return fault
    if isinstance(error, (redis.TimeoutError, TimeoutError)):
        return Fault("no answer in time", BACK, away=True)
    if isinstance(error, (redis.ConnectionError, OSError)):
        return Fault(said, BACK, away=True)
    return Fault(f"it refuses a required command: {said}", "check its configuration and its log")
