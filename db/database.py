"""The connection of each thread to PostgreSQL.

A long-lived thread (a flusher, a reader, upkeep) keeps its connection between units of work. A short-lived thread must
call `database.close()` when it is done.
"""

from __future__ import annotations

import math
import os
import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from peewee import (
    DataError,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
)
from peewee import ProgrammingError as StatementRefused
from psycopg2.errors import DeadlockDetected, LockNotAvailable, QueryCanceled
from psycopg2.extensions import set_wait_callback

from db.bounded_wait import BoundedWait, waiting
from db.session import APPLICATION, TUNED, Database
from settings import SettingsError, postgres_url
from settings.database import DatabaseSettings

LATENESS = 2.0  # seconds after a statement's time-out; a server that has not answered then is given up
MOMENT = 0.1  # seconds; a connection that was used so recently is not checked before use
# The number of the last migration that this version knows.
KNOWN = max(path.name[:4] for path in (Path(__file__).parent / "migrations").glob("[0-9]*.py"))

# Goes before a statement that asks for the first rows in the order of an index, in the same message and so in the same
# transaction. With old statistics PostgreSQL expects few rows, and would read and sort all of them.
IN_ORDER = "SET LOCAL enable_sort = off; SET LOCAL jit = off; "

database = Database(None, autoconnect=False)


class _Use(threading.local):
    """The time when this thread last used its connection successfully."""

    at = 0.0

    def idle(self) -> bool:
        return time.monotonic() - self.at > MOMENT


_use = _Use()


# A child process must not use its parent's connections.
os.register_at_fork(after_in_child=database.dispose)


# SQLSTATEs that an operator causes and ends without a new version of this program: a privilege that was revoked, a
# table or a function that a restore has not created yet, a plan that another session's DDL has outdated.
_TEMPORARY = frozenset({"42501", "42P01", "42703", "42883", "42704", "3F000", "0A000"})
# Classes of SQLSTATEs that concern every statement of this connection: PostgreSQL's documentation, appendix A.
_OF_THE_CONNECTION = ("08", "53", "57P", "58")


class Unavailable(Exception):
    """The database cannot be asked right now (away, full, read-only, refuses us): try again later."""

    sqlstate: str | None = None

    @property
    def of_the_statement(self) -> bool:
        """Return whether the server answered and refused only this statement; another one may succeed now."""
        return self.sqlstate is not None and not self.sqlstate.startswith(_OF_THE_CONNECTION)


class Contended(Unavailable):
    """Another transaction is writing a row that this statement needs; nothing happened."""


class Unacceptable(Exception):
    """The database refuses a value: the item is at fault, not the database."""


def bind(settings: DatabaseSettings) -> None:
    """Point `database` at DATABASE_URL, without connecting."""
    settings.require()
    try:
        target = postgres_url.parse(settings.url, os.environ)
    except postgres_url.Malformed as error:
        raise SettingsError(str(error)) from None
    connecting = target.connect_timeout or settings.connect_timeout
    connecting = min(connecting, settings.connect_timeout)
    set_wait_callback(BoundedWait(connecting, settings.statement_timeout + LATENESS))
    at_once = ("client_encoding", postgres_url.CONFORMING)  # the driver needs these too, when it connects
    fixed = {name: value for name, value in postgres_url.FIXED.items() if name not in at_once}
    timeout = {"statement_timeout": f"{round(settings.statement_timeout * 1000)}ms"}
    # From this name `notify migrate --after` knows which programs still need what it would remove.
    name = f"{APPLICATION} {KNOWN}"
    database.session(
        (name, target.application_name), {**fixed, **TUNED, **timeout, **target.session}, pooled=target.pooled
    )
    database.init("DATABASE_URL", **target.parameters, client_encoding="UTF8", application_name=name)


@contextmanager
def patiently() -> Iterator[None]:
    """Let the statements of this thread take any time, for a migration. Not for a thread that serves requests."""
    with waiting(math.inf):
        with connection():
            database.without_timeouts()
        yield


@contextmanager
def lasting(seconds: float) -> Iterator[None]:
    """Let the statements of this thread take `seconds`. Call within `connection()`, outside of a transaction."""
    with waiting(seconds), database.taking(f"{round(seconds * 1000)}ms"):
        yield


@contextmanager
def connection() -> Iterator[None]:
    """Hold this thread's connection for one unit of database work. Never hold it across another network call.

    A connection that broke is closed, so that the next use opens a new one.

    Raises:
        Contended: the statement waited longer than its own bound; nothing happened.
        Unavailable: the database cannot be asked right now; the statement may have been executed or not.
        Unacceptable: a value was refused; nothing happened.
    """
    try:
        # The check costs a system call.
        if not database.is_closed() and _use.idle() and _hung_up(database.connection()):
            database.close()
        database.connect(reuse_if_open=True)
        yield
        _use.at = time.monotonic()
    except (OperationalError, InterfaceError, InternalError) as error:
        if isinstance(getattr(error, "orig", None), (LockNotAvailable, DeadlockDetected)):
            raise _told(Contended, error) from None
        database.close()
        raise _told(Unavailable, error) from None
    except (StatementRefused, NotSupportedError) as error:
        if _sqlstate(error) not in _TEMPORARY:
            raise
        database.close()  # Its prepared plans go with it.
        raise _told(Unavailable, error) from None
    except (DataError, IntegrityError) as error:
        raise Unacceptable(_first_line(error)) from None


@contextmanager
def hurrying(lock_timeout: float) -> Iterator[None]:
    """Open a transaction that waits for no lock longer than `lock_timeout` seconds.

    Raises:
        Contended: a lock could not be taken, or a statement ran into its timeout; nothing happened.
    """
    try:
        with database.atomic():
            rows("SELECT set_config('lock_timeout', %s, true)", f"{max(1, round(lock_timeout * 1000))}ms")
            yield
    except OperationalError as error:
        if isinstance(getattr(error, "orig", None), (LockNotAvailable, DeadlockDetected, QueryCanceled)):
            raise Contended(_first_line(error)) from None
        raise


def rows(sql: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Run one statement, in its own transaction unless within `atomic`, and return its rows."""
    cursor = database.execute_sql(sql, parameters)
    return cursor.fetchall() if cursor.description else []


def qualified(name: str) -> str:
    """Return the name with its schema, for a statement outside of transactions: a pooler may run it in any session."""
    [(schema,)] = rows("SELECT quote_ident(current_schema())")
    return f"{schema}.{name}"


def _hung_up(conn: Any) -> bool:
    """Return whether the server closed an idle connection: then it can be read although no answer is due."""
    poll = select.poll()
    poll.register(conn.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _told(kind: type[Unavailable], error: Exception) -> Unavailable:
    told = kind(_first_line(error))
    told.sqlstate = _sqlstate(error)
    return told


def _sqlstate(error: Exception) -> str | None:
    """Return the SQLSTATE of the server's error; None if the server sent none."""
    code: str | None = getattr(getattr(error, "orig", None), "pgcode", None)
    return code


def _first_line(error: Exception) -> str:
    # The lines after the first may quote the row.
    lines = str(error).strip().splitlines() or ["connection lost"]
    # Of several addresses (localhost has two), one where a server refused us tells more than one without a server.
    refusals = (line for line in lines if line.startswith("connection to server") and "FATAL:" in line)
    return next(refusals, lines[0])
