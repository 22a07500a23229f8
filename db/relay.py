"""Whose bell must be rung again: pending rows whose `dispatch_after` has passed."""

from __future__ import annotations

from typing import NamedTuple

from db.database import rows
from db.pauses import PAUSES_HELD, held

PARK = 3600.0  # seconds


class Due(NamedTuple):
    """`rung_at`: seconds since 1970, the same for all of one statement."""

    id: int
    alone: bool
    rung_at: float
    parked: bool = False


def take_due(grace: float, oldest_bell: float, most: int, park: float = PARK) -> list[Due]:
    """Take ids that are due to be rung, up to `most` never rung and `most` rung before, and stamp them as rung now.

    `oldest_bell` is the age in seconds of the oldest bell that still waits, in the queue or in a
    worker's hands, 0 if none waits. A row that was rung (`dispatch_after - grace`) after that one
    still has its own bell behind it, so it is not rung again: a long backlog costs one bell per
    notification. What nobody has rung for yet waits for no other bell.

    What is paused is `parked` instead, and not to be rung: it is met again after `park` seconds,
    or when upkeep brings it back after a resume.
    """
    due = rows(
        f"""
        WITH {PAUSES_HELD}, unrung AS MATERIALIZED (
            SELECT id FROM notifications
            WHERE status = 'pending' AND NOT rung AND dispatch_after <= now()
            ORDER BY dispatch_after LIMIT %s FOR UPDATE SKIP LOCKED
        ), unheard AS MATERIALIZED (
            SELECT id FROM notifications
            WHERE status = 'pending' AND dispatch_after <= now() + least(0, %s - %s) * interval '1 second'
            ORDER BY dispatch_after LIMIT %s FOR UPDATE SKIP LOCKED
        )
        UPDATE notifications AS n
        SET dispatch_after = now() + CASE WHEN held THEN %s ELSE %s END * interval '1 second',
            rung = NOT held, parked = held
        FROM (SELECT id, {held("m")} AS held
              FROM (SELECT id FROM unrung UNION SELECT id FROM unheard) AS u JOIN notifications AS m USING (id)) AS due
        WHERE n.id = due.id
        RETURNING n.id, n.alone, extract(epoch FROM now())::float8, n.parked
        """,
        most,
        grace,
        oldest_bell,
        most,
        park,
        grace,
    )
    return sorted(Due(*row) for row in due)


def least_tried(among: int) -> list[int]:
    """The mail that has failed least among the `among` first due; none if nothing is due."""
    found = rows(
        """
        SELECT id FROM (SELECT id, retry_count FROM notifications
                        WHERE status = 'pending' AND next_attempt_at <= now() AND NOT sandbox
                        ORDER BY dispatch_after LIMIT %s) AS due
        ORDER BY retry_count, id LIMIT 1
        """,
        among,
    )
    return [id for (id,) in found]
