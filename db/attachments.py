"""The contents of attachments. Call within `connection()`."""

from __future__ import annotations

from db.database import rows


def contents(id: int, claim: int) -> list[bytes] | None:
    """Those of a notification, in their order, or None where this claim no longer owns it."""
    found = rows(
        """
        SELECT a.content FROM notifications AS n LEFT JOIN attachments AS a ON a.notification_id = n.id
        WHERE n.id = %s AND n.status = 'processing' AND n.claim = %s
        ORDER BY a.number
        """,
        id,
        claim,
    )
    return [bytes(content) for (content,) in found if content is not None] if found else None
