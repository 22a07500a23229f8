"""The contents of attachments. Call within `connection()`."""

from __future__ import annotations

from typing import Any, NamedTuple

from db.client_view import VIEW
from db.database import rows


class Begun(NamedTuple):
    """What is told of a file (filename, contentType, size), and its first bytes; None where it is gone."""

    told: dict[str, Any]
    beginning: bytes | None


def contents(id: int, claim: int) -> list[bytes] | None:
    """Those of a notification, in their order, or None where this claim no longer owns it."""
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
    """The attachment of this `number`, from 1, and up to `most` bytes of it; None where there is none."""
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
    """Up to `most` bytes of an attachment behind its first `after`; none where it is over, or gone by now.

    Only these are read from the disk: contents are not compressed. The caller knows whose it is.
    """
    found = rows(
        "SELECT substring(content FROM %s FOR %s) FROM attachments WHERE notification_id = %s AND number = %s",
        *(after + 1, most, id, number),
    )
    return bytes(found[0][0]) if found else b""


def stored(id: int) -> tuple[bytes, ...]:
    """All contents of a notification that there are, in their order. The caller knows whose it is."""
    found = rows("SELECT content FROM attachments WHERE notification_id = %s ORDER BY number", id)
    return tuple(bytes(content) for (content,) in found)
