"""Schedule of the look-ups at providers for notifications whose attempt had no answer. Call within `connection()`.

The table `look_ups` only spaces the questions. A row that is lost, or a worker that dies before it has asked, costs one
more question or a later one.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from db.client_view import VIEW
from db.database import rows

TURN = 1.0  # seconds: of all workers, one asks a provider about a few notifications in this time
FIRST, LONGEST = 5.0, 300.0  # seconds before the second question about a notification, doubled up to the longest
KEPT = 3_600  # seconds after which the row of a notification is deleted that no longer waits


class Asked(NamedTuple):
    """A notification to ask about. `since`: when its first attempt without an answer began."""

    id: int
    recipient: str
    since: datetime


_TAKE = f"""
        WITH turn AS (
            UPDATE providers SET look_up_after = now() + %s * interval '1 second'
            WHERE name = %s AND (look_up_after IS NULL OR look_up_after <= now())
                  AND EXISTS (SELECT FROM {VIEW} AS n WHERE n.status = 'pending'
                              AND n.bound_provider IS NOT NULL AND n.bound_provider = providers.name)
            RETURNING name
        ), chosen AS MATERIALIZED (
            SELECT n.id, n.recipient FROM turn
            JOIN {VIEW} AS n ON n.bound_provider = turn.name AND n.status = 'pending'
            LEFT JOIN look_ups AS l ON l.notification_id = n.id
            WHERE n.bound_provider IS NOT NULL AND n.erased_at IS NULL AND (l.due_at IS NULL OR l.due_at <= now())
            ORDER BY l.due_at NULLS FIRST, n.id LIMIT %s
        ), noted AS (
            INSERT INTO look_ups AS l (notification_id, tries, due_at)
            SELECT id, 1, now() + %s * interval '1 second' FROM chosen ORDER BY id
            ON CONFLICT (notification_id) DO UPDATE
            SET tries = l.tries + 1, due_at = now() + least(%s * 2 ^ least(l.tries, 20), %s) * interval '1 second'
        )
        SELECT chosen.id, chosen.recipient, min(a.started_at) FROM chosen
        JOIN attempts AS a ON a.notification_id = chosen.id AND a.outcome IN ('uncertain', 'lost')
        GROUP BY chosen.id, chosen.recipient ORDER BY chosen.id
        """


def take(provider: str, most: int) -> list[Asked]:
    """Return up to `most` notifications to ask a provider about now; none if another worker has asked within TURN."""
    return [Asked(*row) for row in rows(_TAKE, TURN, provider, most, FIRST, FIRST, LONGEST)]


def rest(provider: str, seconds: float) -> None:
    """Let no worker ask a provider for this many seconds, because it did not answer."""
    rows("UPDATE providers SET look_up_after = now() + %s * interval '1 second' WHERE name = %s", seconds, provider)


def forget() -> None:
    """Delete the rows of notifications that no longer wait."""
    rows("DELETE FROM look_ups WHERE due_at < now() - %s * interval '1 second'", KEPT)
