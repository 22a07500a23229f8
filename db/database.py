"""The connection of each thread to PostgreSQL.

A thread that lasts (a flusher, a reader, upkeep) keeps its connection from one unit of work to the
next; whoever does not last calls `database.close()` when it is done.
"""

from __future__ import annotations

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
from psycopg2.extensions import POLL_OK, POLL_READ, STATUS_SETUP, get_wait_callback, set_wait_callback

from db.hosts import NoAnswer
from db.session import APPLICATION, TUNED, Database
from settings import Settings, SettingsError, postgres_url

MOMENT = 0.1  # seconds; what was used so lately is believed to live
# The number of the last migration that this version knows.
KNOWN = max(path.name[:4] for path in (Path(__file__).parent / "migrations").glob("[0-9]*.py"))

# Sent before a statement that asks for the first rows in the order of an index, in the same message and so in the same
# transaction. With old statistics PostgreSQL believes that there are few rows, and would read and sort all of them.
IN_ORDER = "SET LOCAL enable_sort = off; SET LOCAL jit = off; "

database = Database(None, autoconnect=False)


class _Use(threading.local):
    """When this thread last used its connection with success."""

    at = 0.0

    def idle(self) -> bool:
        return time.monotonic() - self.at > MOMENT


_use = _Use()

# `seconds`: how long the statements of this thread may take, where they may take long.
_lasting = threading.local()

# A child must not speak over its parent's connections.
os.register_at_fork(after_in_child=database.dispose)


# The SQLSTATEs that an operator causes and ends without a new version of ours: a privilege that was revoked, a
# table or a function that a restore has not brought yet, a plan that another session's DDL has outdated.
_TEMPORARY = frozenset({"42501", "42P01", "42703", "42883", "42704", "3F000", "0A000"})
# Classes of SQLSTATEs that concern every statement of this connection: PostgreSQL's documentation, appendix A.
_OF_THE_CONNECTION = ("08", "53", "57P", "58")


class Unavailable(Exception):
    """The database cannot be asked right now (away, full, read-only, refuses us): try again later."""

    sqlstate: str | None = None

    @property
    def of_the_statement(self) -> bool:
        """Whether the server answered and refused this statement: another one may succeed now."""
        return self.sqlstate is not None and not self.sqlstate.startswith(_OF_THE_CONNECTION)


class Contended(Unavailable):
    """A row that this statement needs is being written by another transaction; nothing happened."""


class Unacceptable(Exception):
    """The database refuses a value: one item is at fault, not the database."""


def bind(settings: Settings) -> None:
    """Point `database` at DATABASE_URL. Connects to nothing yet."""
    settings.require("database_url")
    try:
        target = postgres_url.parse(settings.database_url, os.environ)
    except postgres_url.Malformed as error:
        raise SettingsError(str(error)) from None
    connecting = target.connect_timeout or settings.db_connect_timeout
    connecting = min(connecting, settings.db_connect_timeout)
    set_wait_callback(_Patience(connecting, settings.db_statement_timeout + settings.db_lateness))
    at_once = ("client_encoding", postgres_url.CONFORMING)  # they are for the driver too: it is told as it connects
    fixed = {name: value for name, value in postgres_url.FIXED.items() if name not in at_once}
    timeout = {"statement_timeout": f"{round(settings.db_statement_timeout * 1000)}ms"}
    # Tells `notify migrate --after` who would not survive it.
    name = f"{APPLICATION} {KNOWN}"
    database.session(
        (name, target.application_name), {**fixed, **TUNED, **timeout, **target.session}, pooled=target.pooled
    )
    database.init("DATABASE_URL", **target.parameters, client_encoding="UTF8", application_name=name)


class _Patience:
    """psycopg2 waits for the server by calling this, which ends each wait: one for a server that vanished or hangs.

    By itself it would wait for as long as the kernel does, from 15 minutes to for ever.
    """

    def __init__(self, connecting: float, answering: float) -> None:
        self._connecting, self._answering = connecting, answering

    def __call__(self, conn: Any) -> None:
        answering = getattr(_lasting, "seconds", self._answering)
        connecting = conn.status == STATUS_SETUP
        seconds = self._connecting if connecting else answering
        deadline = time.monotonic() + seconds
        poll = select.poll()
        while (state := conn.poll()) != POLL_OK:
            poll.register(conn.fileno(), select.POLLIN if state == POLL_READ else select.POLLOUT)
            if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                error = NoAnswer(f"no answer within {seconds:g} seconds")
                error.place = (conn.info.host, str(conn.info.port)) if connecting else None
                raise error


@contextmanager
def patiently() -> Iterator[None]:
    """Let statements take their time: a migration, or the wait for another one. Not for a process that serves."""
    impatient = get_wait_callback()
    set_wait_callback(None)
    try:
        with connection():
            database.without_timeouts()
        yield
    finally:
        set_wait_callback(impatient)


@contextmanager
def lasting(seconds: float) -> Iterator[None]:
    """Let the statements of this thread alone take so long; within `connection()`, and outside of a transaction."""
    _lasting.seconds = seconds
    try:
        with database.taking(f"{round(seconds * 1000)}ms"):
            yield
    finally:
        del _lasting.seconds


@contextmanager
def connection() -> Iterator[None]:
    """Hold this thread's connection for one unit of database work, and never across another network call.

    A connection that broke is closed, so that the next use opens a new one.

    Raises:
        Contended: a wait that the statement itself has bounded is over; nothing happened.
        Unavailable: the database cannot be asked right now; what was asked may or may not have happened.
        Unacceptable: a value was refused; nothing happened.
    """
    try:
        # Looking costs a system call.
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
        database.close()  # With the plans that it has prepared.
        raise _told(Unavailable, error) from None
    except (DataError, IntegrityError) as error:
        raise Unacceptable(_first_line(error)) from None


@contextmanager
def hurrying(lock_timeout: float) -> Iterator[None]:
    """A transaction that waits for no lock longer than so many seconds.

    Raises:
        Contended: a lock was not to be had, or a statement has used up the time that it was given; nothing happened.
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
    """Run one statement (its own transaction outside `atomic`) and return what it returns."""
    cursor = database.execute_sql(sql, parameters)
    return cursor.fetchall() if cursor.description else []


def qualified(name: str) -> str:
    """The name with our schema before it: for statements outside of every transaction, which a pooler runs anywhere."""
    [(schema,)] = rows("SELECT quote_ident(current_schema())")
    return f"{schema}.{name}"


def _hung_up(conn: Any) -> bool:
    """Whether the server has closed an idle connection: it has something to say though nobody asked."""
    poll = select.poll()
    poll.register(conn.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _told(kind: type[Unavailable], error: Exception) -> Unavailable:
    told = kind(_first_line(error))
    told.sqlstate = _sqlstate(error)
    return told


def _sqlstate(error: Exception) -> str | None:
    """The code of the server's error; None where the server said nothing."""
    code: str | None = getattr(getattr(error, "orig", None), "pgcode", None)
    return code


def _first_line(error: Exception) -> str:
    # The lines after the first may quote the row.
    lines = str(error).strip().splitlines() or ["connection lost"]
    # Of several addresses (localhost has two), one that let us speak says more than one where nobody was.
    refusals = (line for line in lines if line.startswith("connection to server") and "FATAL:" in line)
    return next(refusals, lines[0])
