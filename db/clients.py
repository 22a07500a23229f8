"""Clients: who owns notifications, and what each may do. Call within `connection()`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from db import pauses
from db.database import database, rows

DEFAULT = 1  # the id of the client that the migration makes


class Client(NamedTuple):
    """Fields are columns. For a limit that is None that of the settings is in force."""

    id: int
    name: str
    rate_limit: int | None
    daily_quota: int | None
    pending_limit: int | None
    senders: list[str]
    created_at: datetime
    disabled_at: datetime | None


_COLUMNS = ", ".join(Client._fields)
_DISABLED = "disabled"  # the kind of pause
# What may be given and changed, with the types of the columns.
LIMITS = {"rate_limit": "integer", "daily_quota": "integer", "pending_limit": "integer", "senders": "text[]"}


def create(name: str, limits: Mapping[str, object]) -> Client | None:
    """A new client with these of LIMITS; None where the name is taken."""
    names, values = _given(limits)
    return _one(
        f"""
        INSERT INTO clients (name{"".join(f", {name}" for name in names)})
        VALUES (%s{"".join(f", %s::{LIMITS[name]}" for name in names)})
        ON CONFLICT (name) DO NOTHING RETURNING {_COLUMNS}
        """,
        name,
        *values,
    )


def change(id: int, limits: Mapping[str, object], disabled: bool | None) -> Client | None:
    """`update`, and `disable` or `enable` where that is not None; all of it or nothing."""
    with database.atomic():
        changed = update(id, limits)
        if changed is None or disabled is None:
            return changed
        return disable(id) if disabled else enable(id)


def update(id: int, limits: Mapping[str, object]) -> Client | None:
    """Change these of LIMITS; None where there is no such client."""
    names, values = _given(limits)
    if not names:
        return one(id)
    changes = ", ".join(f"{name} = %s::{LIMITS[name]}" for name in names)
    return _one(f"UPDATE clients SET {changes} WHERE id = %s RETURNING {_COLUMNS}", *values, id)


def disable(id: int) -> Client | None:
    """From now on none of its keys works, and nothing of it is sent, callbacks included; None for an unknown one.

    What is being sent is finished. Again: no change.
    """
    with database.atomic():
        sql = f"UPDATE clients SET disabled_at = coalesce(disabled_at, now()) WHERE id = %s RETURNING {_COLUMNS}"
        disabled = _one(sql, id)
        if disabled is not None:
            pauses.pause(_DISABLED, str(id))
    return disabled


def enable(id: int) -> Client | None:
    """Its keys work again, and what has waited is sent; None where there is no such client."""
    with database.atomic():
        enabled = _one(f"UPDATE clients SET disabled_at = NULL WHERE id = %s RETURNING {_COLUMNS}", id)
        pauses.resume(_DISABLED, str(id))
    return enabled


def one(id: int) -> Client | None:
    return _one(f"SELECT {_COLUMNS} FROM clients WHERE id = %s", id)


def named(name: str) -> Client | None:
    return _one(f"SELECT {_COLUMNS} FROM clients WHERE name = %s", name)


def listed(after: int, limit: int) -> list[Client]:
    """Up to `limit` clients with an id above `after`, oldest first."""
    sql = f"SELECT {_COLUMNS} FROM clients WHERE id > %s ORDER BY id LIMIT %s"
    return [Client(*row) for row in rows(sql, after, limit)]


def _given(limits: Mapping[str, object]) -> tuple[list[str], list[object]]:
    """Names and values; only names of ours become SQL, any other is a KeyError."""
    names = [name for name in limits if LIMITS[name]]
    return names, [limits[name] for name in names]


def _one(sql: str, *parameters: object) -> Client | None:
    found = rows(sql, *parameters)
    return Client(*found[0]) if found else None
