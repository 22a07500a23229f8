"""The connection of each thread to PostgreSQL.

A thread that lasts (a flusher, a reader, upkeep) keeps its connection from one unit of work to the
next; whoever does not last calls `database.close()` when it is done.
"""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from peewee import (
    DataError,
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
    PostgresqlDatabase,
)
from psycopg2 import ProgrammingError
from psycopg2.extensions import parse_dsn

from settings import Settings, SettingsError

database = PostgresqlDatabase(None, autoconnect=False)

# A child must not speak over its parent's connections.
os.register_at_fork(after_in_child=database.dispose)


class Unavailable(Exception):
    """The database cannot be asked right now (away, full, read-only, overloaded): try again later."""


class Unacceptable(Exception):
    """The database refuses a value: one item is at fault, not the database."""


def bind(settings: Settings) -> None:
    """Point `database` at DATABASE_URL. Connects to nothing yet."""
    settings.require("database_url")
    url = settings.database_url.replace("postgres://", "postgresql://", 1)
    try:
        parse_dsn(url)
    except ProgrammingError:  # Its message quotes the URL, password and all.
        raise SettingsError(
            "DATABASE_URL is malformed: give postgresql://user:pass@host:5432/name "
            "(in a password, % is written %25 and @ is %40)"
        ) from None
    statement_timeout = int(settings.db_statement_timeout * 1000)
    database.init(
        url,
        connect_timeout=settings.db_connect_timeout,
        # A vanished peer (no FIN, no RST) is noticed after this, not after the kernel's 15 minutes.
        tcp_user_timeout=statement_timeout,
        # Nor is an answer that never comes awaited for the kernel's two hours, or even WORKER_TIMEOUT.
        keepalives_idle=10,
        keepalives_interval=5,
        options=f"-c statement_timeout={statement_timeout} -c timezone=UTC",
        application_name="notification-system",
    )


@contextmanager
def connection() -> Iterator[None]:
    """Hold this thread's connection for one unit of database work, and never across another network call.

    A connection that broke is closed, so that the next use opens a new one.

    Raises:
        Unavailable: the database cannot be asked right now; what was asked may or may not have happened.
        Unacceptable: a value was refused; nothing happened.
    """
    try:
        if not database.is_closed() and _hung_up(database.connection()):
            database.close()
        database.connect(reuse_if_open=True)
        yield
    except (OperationalError, InterfaceError, InternalError) as error:
        database.close()
        raise Unavailable(_first_line(error)) from None
    except (DataError, IntegrityError) as error:
        raise Unacceptable(_first_line(error)) from None


def rows(sql: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Run one statement (its own transaction outside `atomic`) and return what it returns."""
    cursor = database.execute_sql(sql, parameters)
    return cursor.fetchall() if cursor.description else []


def _hung_up(conn: Any) -> bool:
    """Whether the server has closed an idle connection: it has something to say though nobody asked."""
    poll = select.poll()
    poll.register(conn.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _first_line(error: Exception) -> str:
    # The lines after the first may quote the row.
    return (str(error).strip().splitlines() or ["connection lost"])[0]
