"""SQL that a test runs itself, over a connection that it keeps."""

from __future__ import annotations

import threading
from typing import Any

import psycopg2

from db.bounded_wait import waiting
from db.hosts import NoAnswer

# Seconds for an answer. What this process bound last limits the wait of every connection, and is less than a new
# database may take on a busy machine.
WITHIN = 60.0


class Sql:
    """One connection to a database, in autocommit mode; for several threads.

    A new connection costs PostgreSQL ten times as much as a query, and `eventually()` asks many times a second.
    A thread that finds the connection in use takes one of its own for that query. A connection that the server has
    closed is replaced; while there is no server, or no answer, `rows` raises psycopg2.OperationalError.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._kept: psycopg2.extensions.connection | None = None
        self._in_use = threading.Lock()

    def rows(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows, if it has any."""
        if not self._in_use.acquire(blocking=False):
            other = Sql(self._url)
            try:
                return other.rows(sql, *parameters)
            finally:
                other.close()
        try:
            return self._asked(sql, parameters)
        finally:
            self._in_use.release()

    def close(self) -> None:
        """Close the connection; the next query opens another one."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def _asked(self, sql: str, parameters: tuple[object, ...]) -> list[tuple[Any, ...]]:
        if (kept := self._kept) is not None:
            try:
                return _run(kept, sql, parameters)
            except NoAnswer:  # The server may be running the statement: it must not begin a second time.
                self.close()
                raise
            except (psycopg2.OperationalError, psycopg2.InterfaceError):
                if not kept.closed:
                    raise
                # The server has closed it since the last query.
                self.close()
        connection = self._kept = psycopg2.connect(self._url)
        connection.autocommit = True
        return _run(connection, sql, parameters)


def _run(connection: psycopg2.extensions.connection, sql: str, parameters: tuple[object, ...]) -> list[tuple[Any, ...]]:
    with waiting(WITHIN), connection.cursor() as cursor:
        cursor.execute(sql, parameters or None)
        return cursor.fetchall() if cursor.description is not None else []
