"""Read the contents of attachments. Call within `connection()`."""

from __future__ import annotations

from typing import Any, NamedTuple

from db.client_view import VIEW
from db.database import rows


class Begun(NamedTuple):
    """An attachment's filename, contentType and size (`told`), and its first bytes; None if the content was deleted."""

    told: dict[str, Any]
    beginning: bytes | None


def contents(id: int, claim: int) -> list[bytes] | None:
    """Return the contents of a notification's attachments in order, or None if this claim no longer owns it."""
    found = rows(
        f"""
        SELECT a.content FROM {VIEW} AS n LEFT JOIN attachments AS a ON a.notification_id = n.id
        WHERE n.id = %s AND n.status = 'processing' AND n.claim = %s
        ORDER BY a.number
        """,
        id,
        claim,
    )
    return [bytes(content) for (content,) in found if content is not None] if found else None


def begun(id: int, client_id: int, number: int, most: int) -> Begun | None:
    """Return an attachment by its `number`, from 1 on, with up to `most` bytes; None if there is none."""
    found = rows(
        f"""
        SELECT n.mail -> 'attachments' -> %s, substring(a.content FOR %s)
        FROM {VIEW} AS n LEFT JOIN attachments AS a ON a.notification_id = n.id AND a.number = %s
        WHERE n.id = %s AND n.client_id = %s
        """,
        *(number - 1, most, number, id, client_id),
    )
    [(told, beginning)] = found or [(None, None)]
    if told is None or number < 1:
        return None
    return Begun(told, None if beginning is None else bytes(beginning))


def piece(id: int, number: int, after: int, most: int) -> bytes:
    """Return up to `most` bytes of an attachment from offset `after`; b"" at its end, or if it was deleted.

    PostgreSQL reads only these bytes from the disk, because contents are not compressed. The caller must have checked
    that the notification belongs to the client.
    """
    found = rows(
        "SELECT substring(content FROM %s FOR %s) FROM attachments WHERE notification_id = %s AND number = %s",
        *(after + 1, most, id, number),
    )
    return bytes(found[0][0]) if found else b""


def stored(id: int) -> tuple[bytes, ...]:
    """Return the contents of a notification's attachments that still exist, in order.

    The caller must have checked that the notification belongs to the client.
    """
    found = rows("SELECT content FROM attachments WHERE notification_id = %s ORDER BY number", id)
    return tuple(bytes(content) for (content,) in found)
