"""Numbered migrations beside this file, applied in order by one process at a time."""

from __future__ import annotations

from pathlib import Path

from playhouse.migrations import Runner

from db.database import Unavailable, connection, database, patiently, rows

# Any constant will do, as long as every version of this project uses the same.
LOCK = 7_021_969


class WrongSchema(Exception):
    """The database's schema is not the one this version was written for; the message says what to do."""


def migrate() -> list[str]:
    """Apply what is missing and return the names. Several at once wait for each other."""
    with patiently(), connection():
        rows("SELECT pg_advisory_lock(%s)", LOCK)
        try:
            return list(_runner().up())
        finally:
            rows("SELECT pg_advisory_unlock(%s)", LOCK)
            database.close()


def check() -> None:
    """Return if the database is exactly at this version's schema.

    Raises:
        WrongSchema: it is not.
        Unavailable: it cannot be asked.
    """
    try:
        with connection():
            status = _runner().status()
    except Unavailable as error:
        raise Unavailable(f"DATABASE_URL leads to no database that answers us: {error}") from None
    if names := [m.name for m in status if m.applied is None]:
        raise WrongSchema(f"the database lacks {', '.join(names)}: run `notify migrate`")
    if names := [m.name for m in status if m.path is None]:
        raise WrongSchema(f"the database has {', '.join(names)}, which this version does not know: deploy a newer one")


def _runner() -> Runner:
    return Runner(database, str(Path(__file__).parent))
