"""Clients, who own notifications, and their limits. Call within `connection()`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from db import pauses
from db.database import database, rows

DEFAULT = 1  # the id of the client that the migration makes


class Client(NamedTuple):
    """A client. Fields are columns. For a limit that is None, the setting applies.

    `providers`: the names of those that it may use, by channel; all if it is None or has not the channel.
    """

    id: int
    name: str
    rate_limit: int | None
    daily_quota: int | None
    pending_limit: int | None
    senders: list[str]
    phone_region: str | None
    providers: Mapping[str, Sequence[str]] | None
    created_at: datetime
    disabled_at: datetime | None


_COLUMNS = ", ".join(Client._fields)
_DISABLED = "disabled"  # a kind of pause
# The columns that may be set and changed, with their types.
LIMITS = {
    "rate_limit": "integer",
    "daily_quota": "integer",
    "pending_limit": "integer",
    "senders": "text[]",
    "phone_region": "text",
    "providers": "jsonb",
}


def create(name: str, limits: Mapping[str, object]) -> Client | None:
    """Create a client with these values for LIMITS; return None if the name is taken."""
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
    """Update the limits and, unless `disabled` is None, disable or enable the client, in one transaction."""
    with database.atomic():
        changed = update(id, limits)
        if changed is None or disabled is None:
            return changed
        return disable(id) if disabled else enable(id)


def update(id: int, limits: Mapping[str, object]) -> Client | None:
    """Set these values for LIMITS; return None if there is no such client."""
    names, values = _given(limits)
    if not names:
        return one(id)
    changes = ", ".join(f"{name} = %s::{LIMITS[name]}" for name in names)
    return _one(f"UPDATE clients SET {changes} WHERE id = %s RETURNING {_COLUMNS}", *values, id)


def disable(id: int) -> Client | None:
    """Disable a client: its keys stop working, and nothing of it is sent, callbacks included.

    Notifications that are being sent are finished. Return None if there is no such client; a repetition changes
    nothing.
    """
    with database.atomic():
        sql = f"UPDATE clients SET disabled_at = coalesce(disabled_at, now()) WHERE id = %s RETURNING {_COLUMNS}"
        disabled = _one(sql, id)
        if disabled is not None:
            pauses.pause(_DISABLED, str(id))
    return disabled


def enable(id: int) -> Client | None:
    """Enable a client: its keys work again, and its pending notifications are sent. None if there is no such client."""
    with database.atomic():
        enabled = _one(f"UPDATE clients SET disabled_at = NULL WHERE id = %s RETURNING {_COLUMNS}", id)
        pauses.resume(_DISABLED, str(id))
    return enabled


def one(id: int) -> Client | None:
    """Return a client by its id, or None."""
    return _one(f"SELECT {_COLUMNS} FROM clients WHERE id = %s", id)


def named(name: str) -> Client | None:
    """Return a client by its name, or None."""
    return _one(f"SELECT {_COLUMNS} FROM clients WHERE name = %s", name)


def listed(after: int, limit: int) -> list[Client]:
    """Return up to `limit` clients with an id above `after`, oldest first."""
    sql = f"SELECT {_COLUMNS} FROM clients WHERE id > %s ORDER BY id LIMIT %s"
    return [Client(*row) for row in rows(sql, after, limit)]


def _given(limits: Mapping[str, object]) -> tuple[list[str], list[object]]:
    """Return names and values. An unknown name is a KeyError, so that only known names become SQL."""
    names = [name for name in limits if LIMITS[name]]
    return names, [_stored(limits[name]) for name in names]


def _stored(value: object) -> object:
    return json.dumps(value) if isinstance(value, Mapping) else value


def _one(sql: str, *parameters: object) -> Client | None:
    found = rows(sql, *parameters)
    return Client(*found[0]) if found else None
