"""Whose bell must be rung again: pending rows whose `dispatch_after` has passed."""

from __future__ import annotations

from typing import NamedTuple

from db.database import rows


class Due(NamedTuple):
    id: int
    alone: bool


def take_due(grace: float, oldest_bell: float, most: int) -> list[Due]:
    """Take up to `most` ids that are due to be rung, oldest first, and stamp them as rung now.

    `oldest_bell` is the age in seconds of the oldest bell that still waits in the queue, 0 if none
    waits. A row that was rung (`dispatch_after - grace`) after that one still has its own bell in
    the queue behind it, so it is not rung again: a long backlog costs one bell per notification.
    """
    due = rows(
        """
        UPDATE notifications AS n SET dispatch_after = now() + %s * interval '1 second'
        FROM (SELECT id FROM notifications
              WHERE status = 'pending'
                AND dispatch_after <= now() + least(0, %s - %s) * interval '1 second'
              ORDER BY dispatch_after LIMIT %s FOR UPDATE SKIP LOCKED) AS due
        WHERE n.id = due.id
        RETURNING n.id, n.alone
        """,
        grace,
        grace,
        oldest_bell,
        most,
    )
    return sorted(Due(*row) for row in due)
