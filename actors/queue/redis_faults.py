"""What an error of Redis means, and the fix: for /readyz, logs and `notify doctor`."""

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
    """`what` and `fix` are parts of a sentence.

    `away`: nothing answered, and it may be back by itself. `rights`: it is about which commands and keys are allowed.
    """

    what: str
    fix: str
    away: bool = False
    rights: bool = False

    def __str__(self) -> str:
        return f"{self.what}: {self.fix}"


BACK = "start it, or put REDIS_URL right; nothing is lost meanwhile"
# Words of the message (inside of a script they stand in its middle), kinds of error (redis-py takes the first
# word from their messages), and what they mean.
_ANSWERS: tuple[tuple[str, tuple[type[Exception], ...], Fault], ...] = (
    (
        r"\bCLUSTERDOWN\b|\bCROSSSLOT\b|\bMOVED\b|\bASK\b|non local key|[Cc]luster mode",
        (ClusterDownError, ClusterCrossSlotError, AskError),
        Fault(
            "it runs in cluster mode, where the keys of one queue are kept apart",
            "point REDIS_URL at a Redis that is not a cluster, or at Sentinels with redis+sentinel://",
        ),
    ),
    (
        r"\bOOM\b",
        (OutOfMemoryError,),
        Fault("it is full (OOM) and takes no writes", "raise maxmemory, or see what else is in it"),
    ),
    (
        r"\bREADONLY\b|read only replica",
        (ReadOnlyError,),
        Fault("it is a replica and takes no writes", "point REDIS_URL at the primary"),
    ),
    (
        r"\bMISCONF\b",
        (),
        Fault(
            "it takes no writes because it could not save to its disk (MISCONF)",
            "see its log and its disk; without a need for its data: set stop-writes-on-bgsave-error no",
        ),
    ),
    (
        r"\bNOREPLICAS\b",
        (),
        Fault(
            "it takes no writes because too few replicas are connected (NOREPLICAS)",
            "bring them back, or lower min-replicas-to-write",
        ),
    ),
    (
        r"\bWRONGPASS\b|\bNOAUTH\b|invalid password|[Aa]uthentication required|without any password configured",
        (AuthenticationError,),
        Fault(
            "it refuses the user or the password",
            "put them right in REDIS_URL: redis://user:pass@host:6379/0 (in a password, @ is %40 and / is %2F)",
        ),
    ),
    (
        r"DB index|Invalid Database",
        (),
        Fault(
            "it has no database of that number",
            "use a smaller number at the end of REDIS_URL (usually 0 to 15), or raise `databases` in its configuration",
        ),
    ),
    (
        r"\bDENIED\b|protected mode",
        (),
        Fault(
            "it is in protected mode and refuses other machines (DENIED)",
            "give it a password, or set protected-mode no where the network is closed",
        ),
    ),
    (
        r"\bWRONGTYPE\b",
        (),
        Fault(
            "another program keeps other data under our keys (WRONGTYPE)",
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
        Fault("it takes no more connections", "raise maxclients, or start fewer processes"),
    ),
    (
        r"\bBUSY\b",
        (),
        Fault("a script of another program blocks it (BUSY)", "end it with SCRIPT KILL"),
    ),
    (
        r"\bLOADING\b",
        (redis.BusyLoadingError,),
        Fault("it is still loading its data", "wait", away=True),
    ),
)
# The last ones of scripts, before Redis 7.2 and since.
_RIGHTS = r"\bNOPERM\b|no permissions|user executing the script can't|ACL failure"


def forbidden(what: str) -> Fault:
    """The user lacks rights."""
    return Fault(f"its user {what}", "give the user of REDIS_URL the rights that docs/redis.md lists", rights=True)


def unknown(commands: str) -> Fault:
    """The server is too old, or its commands were renamed."""
    fix = "use Redis 6.2 or newer, or Valkey, and rename no commands"
    return Fault(f"it does not know {commands}", fix, rights=True)


def of(error: Exception) -> Fault:
    """Return what an error of redis-py means."""
    said = str(error).partition(" : <")[0]  # a Sentinel's, without the connections that redis-py adds
    if isinstance(error, NoPermissionError) or re.search(_RIGHTS, said):
        named = re.search(r"to run the '([^']+)' command", said)
        return forbidden(f"may not run {named[1].upper().replace('|', ' ')}" if named else "lacks a right")
    # A pipeline whose MULTI is unknown says only that EXEC came without it.
    if re.search(r"[Uu]nknown (Redis )?(command|subcommand)|EXEC without MULTI", said):
        return unknown("a command that is needed")
    for pattern, kinds, fault in _ANSWERS:
        if isinstance(error, kinds) or re.search(pattern, said):
            return fault
    if isinstance(error, (redis.TimeoutError, TimeoutError)):
        return Fault("no answer in time", BACK, away=True)
    if isinstance(error, (redis.ConnectionError, OSError)):
        return Fault(said, BACK, away=True)
    return Fault(f"it refuses what is needed: {said}", "see its configuration and its log")
