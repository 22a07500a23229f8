"""Advisory locks. Each is for one schema, so other installations in the same database are not affected."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg2
from peewee import __exception_wrapper__  # type: ignore[attr-defined]

from db.database import database, rows
from db.session import SCHEMA


def one_at_a_time(lock: int, client_id: int) -> None:
    """Wait until no other transaction holds this lock of the client; hold it until this transaction ends."""
    rows(f"SELECT pg_advisory_xact_lock(%s # {SCHEMA}, hashint8(%s))", lock, client_id)


@contextmanager
def exclusive(lock: int) -> Iterator[bool]:
    """Try to take a lock and yield whether it was free; hold it until the end of the block.

    Call within `connection()`, outside of a transaction. If the process dies, its connection ends and the lock with it.
    """
    if database.pooled():
        with _in_transaction(lock) as mine:
            yield mine
        return
    [(mine,)] = rows(f"SELECT pg_try_advisory_lock(%s, {SCHEMA})", lock)
    try:
        yield mine
    finally:
        # A closed connection has no session, and so no lock.
        if mine and not database.is_closed():
            rows(f"SELECT pg_advisory_unlock(%s, {SCHEMA})", lock)


@contextmanager
def _in_transaction(lock: int) -> Iterator[bool]:
    """Hold the lock in a transaction of another connection.

    Behind a pooler, the lock of a session would stay with the session. Between two statements this transaction has no
    snapshot, so nothing waits for it.
    """
    conn = database.another()
    try:
        with __exception_wrapper__, conn.cursor() as cursor:
            cursor.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
            for name, value in {**conn.settings, "idle_in_transaction_session_timeout": "0"}.items():
                cursor.execute("SELECT set_config(%s, %s, true)", (name, value))
            cursor.execute(f"SELECT pg_try_advisory_xact_lock(%s, {SCHEMA})", (lock,))
            [(mine,)] = cursor.fetchall()
        yield mine
    finally:
        # A pooler closes a session that is left in a transaction.
        with suppress(psycopg2.Error):
            conn.cursor().execute("COMMIT")
        conn.close()
