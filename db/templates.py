"""Templates and their versions. Call within `connection()`.

A version never changes. A transaction that adds or deletes versions locks the row of the template's name, so that
concurrent ones get different numbers.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, NamedTuple

from db.database import database, rows

Row = dict[str, Any]
_COLUMNS = ("name", "version", "subject", "text", "html", "schema", "created_at")
_SELECTED = ", ".join(_COLUMNS)
_HEADS = ("name", "version", "created_at")


class Content(NamedTuple):
    """The content of a version. `schema` is a JSON Schema."""

    subject: str
    text: str
    html: str | None
    schema: dict[str, Any] | None

    @property
    def digest(self) -> str:
        """Return a digest of the content. The order of the schema's members does not matter."""
        return hashlib.sha256(json.dumps(self, sort_keys=True).encode()).hexdigest()


class TooMany(Exception):
    """The client has as many versions as it may have."""


def put(client_id: int, name: str, content: Content, most: int) -> tuple[Row, bool]:
    """Make this content the newest version. Return it and whether it is new. Raises TooMany."""
    while True:
        if made := _made(client_id, name, content, most):
            return made, True
        if found := _unchanged(client_id, name, content):
            return found, False
        if _count(client_id, most) >= most:
            raise TooMany
        # Another transaction changed the template between our statements: try again.


def newest(client_id: int, name: str) -> Row | None:
    """Return the newest version of a template, which is used if a request names none."""
    return _one(
        f"SELECT {_SELECTED} FROM templates WHERE client_id = %s AND name = %s ORDER BY version DESC LIMIT 1",
        client_id,
        name,
    )


def version(client_id: int, name: str, number: int) -> Row | None:
    """Return one version of a template, or None."""
    return _one(
        f"SELECT {_SELECTED} FROM templates WHERE client_id = %s AND name = %s AND version = %s",
        client_id,
        name,
        number,
    )


def versions(client_id: int, name: str, before: int | None, limit: int) -> list[Row]:
    """Return up to `limit` versions below the number `before`, newest first, with their content."""
    return _rows(
        rows(
            f"""
            SELECT {_SELECTED} FROM templates
            WHERE client_id = %s AND name = %s AND (%s::int IS NULL OR version < %s)
            ORDER BY version DESC LIMIT %s
            """,
            *(client_id, name, before, before, limit),
        )
    )


def names(client_id: int, after: str | None, limit: int) -> list[Row]:
    """Return up to `limit` templates by name, after the name `after`: number and time of their newest version."""
    found = rows(
        """
        SELECT n.name, t.version, t.created_at
        FROM template_names AS n JOIN templates AS t USING (client_id, name, version)
        WHERE n.client_id = %s AND n.name > %s
        ORDER BY n.name LIMIT %s
        """,
        *(client_id, after or "", limit),
    )
    return [dict(zip(_HEADS, row, strict=True)) for row in found]


def in_order(client_id: int, name: str, number: int, limit: int) -> list[Row]:
    """Return up to `limit` versions of all templates, by name and number, from behind version `number` of `name`."""
    return _rows(
        rows(
            f"SELECT {_SELECTED} FROM templates WHERE client_id = %s AND (name, version) > (%s, %s)"
            " ORDER BY name, version LIMIT %s",
            *(client_id, name, number, limit),
        )
    )


def delete(client_id: int, name: str) -> bool:
    """Delete every version of a template. Notifications rendered from it stay as they are."""
    # Two statements, because the second must see versions that were added while the first waited for the lock.
    with database.atomic():
        held = rows(
            "UPDATE template_names SET digest = NULL WHERE client_id = %s AND name = %s AND digest IS NOT NULL"
            " RETURNING name",
            *(client_id, name),
        )
        # Without the row there is no lock, and another transaction may be adding versions.
        if held:
            rows("DELETE FROM templates WHERE client_id = %s AND name = %s", client_id, name)
    return bool(held)


def _made(client_id: int, name: str, content: Content, most: int) -> Row | None:
    return _one(
        f"""
        WITH room AS (
            SELECT FROM (SELECT FROM templates WHERE client_id = %s LIMIT %s) AS t HAVING count(*) < %s
        ), head AS (
            INSERT INTO template_names AS n (client_id, name, version, digest)
            SELECT %s, %s, 1, %s FROM room
            ON CONFLICT (client_id, name) DO UPDATE SET version = n.version + 1, digest = excluded.digest
            WHERE n.digest IS DISTINCT FROM excluded.digest
            RETURNING client_id, name, version
        )
        INSERT INTO templates (client_id, name, version, subject, text, html, schema)
        SELECT client_id, name, version, %s, %s, %s, %s::json FROM head
        RETURNING {_SELECTED}
        """,
        *(client_id, most, most),
        *(client_id, name, content.digest),
        *(content.subject, content.text, content.html),
        None if content.schema is None else json.dumps(content.schema),
    )


def _unchanged(client_id: int, name: str, content: Content) -> Row | None:
    return _one(
        f"""
        SELECT {_SELECTED} FROM templates JOIN template_names USING (client_id, name, version)
        WHERE client_id = %s AND name = %s AND digest = %s
        """,
        *(client_id, name, content.digest),
    )


def _count(client_id: int, most: int) -> int:
    [(count,)] = rows(
        "SELECT count(*) FROM (SELECT FROM templates WHERE client_id = %s LIMIT %s) AS t", client_id, most
    )
    return int(count)


def _one(sql: str, *parameters: object) -> Row | None:
    return next(iter(_rows(rows(sql, *parameters))), None)


def _rows(found: list[tuple[Any, ...]]) -> list[Row]:
    return [dict(zip(_COLUMNS, row, strict=True)) for row in found]
