"""Identify the installation that this database belongs to. Call within `connection()`."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from peewee import ProgrammingError

from db.database import Unavailable, rows


def identity() -> UUID:
    """Return the random id that the migration stored; a restored dump has the same one.

    Raises:
        Unavailable: the schema is older than this, the row was deleted, or this user may not read it.
    """
    try:
        if rows("SELECT to_regclass('installation') IS NOT NULL") == [(True,)]:
            for (id,) in rows("SELECT id FROM installation"):
                return UUID(str(id))
    except ProgrammingError:
        raise Unavailable("this user may not read the table installation: grant SELECT") from None
    raise Unavailable("the table installation is missing or empty: run `notify migrate`")


def place() -> str:
    """Return a text that differs between a database and its restored dump, and stays the same after a failover."""
    [(system, database)] = rows(
        "SELECT (SELECT system_identifier FROM pg_control_system()),"
        " (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    return f"{system}/{database}"


class ReportSecret(NamedTuple):
    """Secret of this installation for tokens and Message-IDs, and the time since when it signs them."""

    key: bytes
    since: datetime


def report_secret() -> ReportSecret:
    """Return the secret that the migration made. A restored dump has the same one."""
    [(secret, since)] = rows("SELECT report_secret, report_secret_at FROM installation")
    return ReportSecret(secret.encode(), since)
