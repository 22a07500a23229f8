"""Destinations of clients: named places, such as a Slack channel or a webhook. Call within `connection()`.

URLs, tokens and secrets are stored in plain text, for the reason that db/callbacks.py gives. Only `addresses` returns
them. Everybody else gets `hint`, the last characters of the URL or token.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from db.database import database, rows
from db.exclusive import one_at_a_time

LOCK = 7_022  # any constant that no other lock of a client has
HINT = 4  # characters of a URL or token that are shown, if it is at least HINTED characters long
HINTED = 24

_SHOWN = ("name", "kind", "host", "hint", "chat_id", "description", "created_at", "old_secret_until")
# What follows the scheme of an Apprise URL may be a token.
_HOST = """CASE kind WHEN 'apprise' THEN substring(url FROM '^[^:]+://')
                ELSE substring(url FROM '^[^:]+://([^/?#@]*)') END"""
_HINT = f"CASE WHEN length(coalesce(token, url)) >= {HINTED} THEN right(coalesce(token, url), {HINT}) END"
_COLUMNS = ", ".join({"host": _HOST, "hint": _HINT}.get(name, name) for name in _SHOWN)

Row = dict[str, Any]
Key = tuple[int, str]  # client and name


class New(NamedTuple):
    """A destination to create. `token` and `chat_id` are of Telegram, `secret` is of webhooks."""

    client_id: int
    name: str
    kind: str
    url: str
    description: str = ""
    token: str | None = None
    chat_id: str | None = None
    secret: str | None = None


class NameTaken(Exception):
    """The client has a destination of this name already."""


class TooMany(Exception):
    """The client has as many destinations as it may have."""


class Address(NamedTuple):
    """Address and secrets with which a worker sends to a destination. `now`: the database's time in seconds since
    1970."""

    id: int
    kind: str
    url: str
    now: int
    token: str | None = None
    chat_id: str | None = None
    secrets: Sequence[str] = ()

    def __repr__(self) -> str:
        return f"Address({self.id}, {self.kind})"


def create(new: New, most: int) -> Row:
    """Create a destination and return it. Raises NameTaken and TooMany."""
    with database.atomic():
        # Without the lock, several requests at once could each find room for one more.
        one_at_a_time(LOCK, new.client_id)
        if find(new.client_id, new.name):
            raise NameTaken
        [(count,)] = rows("SELECT count(*) FROM destinations WHERE client_id = %s", new.client_id)
        if count >= most:
            raise TooMany
        made = _one(
            f"INSERT INTO destinations ({', '.join(New._fields)}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
            f" RETURNING {_COLUMNS}",
            *new,
        )
    assert made is not None  # noqa: S101 - INSERT returns its row
    return made


def listed(client_id: int, after: str | None, limit: int) -> list[Row]:
    """Return up to `limit` destinations of a client by name, after the name `after`."""
    return _rows(
        f"SELECT {_COLUMNS} FROM destinations WHERE client_id = %s AND name > %s ORDER BY name LIMIT %s",
        *(client_id, after or "", limit),
    )


def find(client_id: int, name: str) -> Row | None:
    """Return a destination of a client, or None."""
    return _one(f"SELECT {_COLUMNS} FROM destinations WHERE client_id = %s AND name = %s", client_id, name)


def kinds(client_id: int, names: Collection[str]) -> dict[str, str]:
    """Return the kinds of these destinations of a client, by name. Unknown names are left out."""
    found = rows("SELECT name, kind FROM destinations WHERE client_id = %s AND name = ANY(%s)", client_id, list(names))
    return dict(found)


def change(client_id: int, name: str, kind: str, changes: Row) -> Row | None:
    """Change a destination of this kind. `changes` may hold url, token, chat_id and description."""
    return _one(
        f"""
        UPDATE destinations
        SET url = coalesce(%s, url), token = coalesce(%s, token), chat_id = coalesce(%s, chat_id),
            description = coalesce(%s, description)
        WHERE client_id = %s AND name = %s AND kind = %s
        RETURNING {_COLUMNS}
        """,
        *(changes.get(field) for field in ("url", "token", "chat_id", "description")),
        *(client_id, name, kind),
    )


def rotate(client_id: int, name: str, secret: str, overlap: float) -> Row | None:
    """Replace the secret of a webhook. The previous one also signs for `overlap` seconds.

    Return None if the client has no webhook of this name.
    """
    return _one(
        f"""
        UPDATE destinations
        SET old_secret = secret, old_secret_until = now() + %s * interval '1 second', secret = %s
        WHERE client_id = %s AND name = %s AND kind = 'webhook'
        RETURNING {_COLUMNS}
        """,
        *(overlap, secret, client_id, name),
    )


def delete(client_id: int, name: str) -> Row | None:
    """Delete a destination and return it as it was. Notifications that are still to be sent to it fail."""
    return _one(f"DELETE FROM destinations WHERE client_id = %s AND name = %s RETURNING {_COLUMNS}", client_id, name)


def move_chat(id: int, old: str, new: str) -> None:
    """Note that Telegram has given a chat another id, unless the destination has another chat since."""
    rows("UPDATE destinations SET chat_id = %s WHERE id = %s AND chat_id = %s", new, id, old)


def addresses(keys: Sequence[Key]) -> dict[Key, Address]:
    """Return what a worker needs to send to these destinations. Deleted ones are left out."""
    found = rows(
        """
        SELECT d.client_id, d.name, d.id, d.kind, d.url, extract(epoch FROM now())::bigint, d.token, d.chat_id,
               array_remove(ARRAY[d.secret, CASE WHEN d.old_secret_until > now() THEN d.old_secret END], NULL)
        FROM destinations AS d JOIN unnest(%s::bigint[], %s::text[]) AS asked (client_id, name) USING (client_id, name)
        """,
        [client_id for client_id, _ in keys],
        [name for _, name in keys],
    )
    return {(client_id, name): Address(*parts) for client_id, name, *parts in found}


def _one(sql: str, *parameters: object) -> Row | None:
    return next(iter(_rows(sql, *parameters)), None)


def _rows(sql: str, *parameters: object) -> list[Row]:
    return [dict(zip(_SHOWN, row, strict=True)) for row in rows(sql, *parameters)]
