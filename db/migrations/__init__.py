"""Numbered migrations beside this file, applied in order by one process at a time."""

from __future__ import annotations

from pathlib import Path

from playhouse.migrations import Runner

from db.database import connection, database, rows

# Any constant will do, as long as every version of this project uses the same.
LOCK = 7_021_969


class WrongSchema(Exception):
    """The database's schema is not the one this version was written for; the message says what to do."""


def migrate() -> list[str]:
    """Apply what is missing and return the names. Several at once wait for each other."""
    with connection():
        # A migration may well take longer than any other statement.
        rows("SET statement_timeout = 0")
        rows("SELECT pg_advisory_lock(%s)", LOCK)
        try:
            return list(_runner().up())
        finally:
            rows("SELECT pg_advisory_unlock(%s)", LOCK)
            database.close()


def missing() -> list[str]:
    """Names of the migrations this version has and the database has not."""
    with connection():
        return [m.name for m in _runner().status() if m.applied is None]


def unknown() -> list[str]:
    """Names of the migrations the database has and this version has not."""
    with connection():
        return [m.name for m in _runner().status() if m.path is None]


def check() -> None:
    """Raise WrongSchema unless the database is exactly at this version's schema."""
    if names := missing():
        raise WrongSchema(f"the database lacks {', '.join(names)}: run `notify migrate`")
    if names := unknown():
        raise WrongSchema(f"the database has {', '.join(names)}, which this version does not know: deploy a newer one")


def _runner() -> Runner:
    return Runner(database, str(Path(__file__).parent))
