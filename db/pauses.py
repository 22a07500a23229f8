"""Pauses: hold the notifications of a client or a channel, or everything of a disabled client.

    (nothing) --pause--> paused --resume--> resumed --forget, once nothing is parked--> (nothing)
                           ^                   |
                           +------ pause ------+

During a pause, `claim` refuses its rows, and the relay marks the rows that it meets as `parked`, so that it does not
look at a long backlog in every round. The relay locks the pauses that it reads until its statement has ended, and a
resume waits for that. So upkeep finds every parked row when it brings back what a resumed pause has held. Call
within `connection()`.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from db.database import rows
from db.models import CALLBACK

# For WITH, in a statement that uses `held`: the pauses in force, locked so that none ends before the statement does.
# Ordered by the key so that an index serves it: see SAFELY in db/prepared.py.
_PAUSES = "FROM pauses WHERE resumed_at IS NULL ORDER BY kind, name"
PAUSES_HELD = f"paused AS MATERIALIZED (SELECT kind || ' ' || name AS what {_PAUSES} FOR SHARE)"
_IN_FORCE = f"SELECT kind || ' ' || name {_PAUSES}"
_HELD_BY = {"client": "client_id = %s::bigint", "channel": "type = %s", "disabled": "client_id = %s::bigint"}


class Pause(NamedTuple):
    """A pause. `kind`: client, channel, or disabled (a client). `since`: None if it is not paused.

    `name`: the client's id, or the channel's type.
    """

    kind: str
    name: str
    since: datetime | None = None


def paused(row: str) -> str:
    """Return SQL for whether a pause holds the row of this alias now. PostgreSQL reads the pauses once a statement."""
    return f"({_names(row)} && ARRAY({_IN_FORCE}))"


def held(row: str) -> str:
    """Return the same as `paused`, for a statement with PAUSES_HELD."""
    return f"({_names(row)} && ARRAY(SELECT what FROM paused))"


def _names(row: str) -> str:
    # A paused client still gets its callbacks.
    client = f"CASE WHEN {row}.type <> '{CALLBACK}' THEN 'client ' || {row}.client_id END"
    return f"ARRAY[{client}, 'channel ' || {row}.type, 'disabled ' || {row}.client_id]"


def pause(kind: str, name: str) -> Pause:
    """Pause a client or a channel: workers begin nothing more of it, and finish what they send.

    A repetition changes nothing.
    """
    [(since,)] = rows(
        """
        INSERT INTO pauses AS p (kind, name) VALUES (%s, %s)
        ON CONFLICT (kind, name) DO UPDATE
        SET since = CASE WHEN p.resumed_at IS NULL THEN p.since ELSE now() END, resumed_at = NULL
        RETURNING since
        """,
        kind,
        name,
    )
    return Pause(kind, name, since)


def resume(kind: str, name: str) -> Pause:
    """End a pause. Upkeep brings back the rows that were parked."""
    rows("UPDATE pauses SET resumed_at = now() WHERE kind = %s AND name = %s AND resumed_at IS NULL", kind, name)
    return Pause(kind, name)


def in_force(client_id: int) -> list[Pause]:
    """Return the pauses that concern a client: its own and those of channels."""
    found = rows(
        "SELECT kind, name, since FROM pauses WHERE resumed_at IS NULL"
        " AND (kind = 'channel' OR kind = 'client' AND name = %s) ORDER BY kind, name",
        str(client_id),
    )
    return [Pause(*row) for row in found]


def all_in_force() -> list[Pause]:
    """Return all pauses that are in force."""
    found = rows("SELECT kind, name, since FROM pauses WHERE resumed_at IS NULL ORDER BY kind, name")
    return [Pause(*row) for row in found]


def resumed() -> list[Pause]:
    """Return the pauses that have ended and may still have parked rows."""
    return [Pause(*row) for row in rows("SELECT kind, name FROM pauses WHERE resumed_at IS NOT NULL")]


def bring_back(kind: str, name: str, most: int) -> int:
    """Let the relay enqueue up to `most` rows that were parked for a pause and that no other pause holds.

    Return how many.
    """
    freed = rows(
        f"""
        WITH {PAUSES_HELD}, parked AS MATERIALIZED (
            SELECT id, status FROM notifications AS n
            WHERE status = 'pending' AND parked AND {_HELD_BY[kind]}
                  AND NOT {held("n")}
            ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
        )
        UPDATE notifications AS n
        SET parked = false, rung = false, dispatch_after = greatest(now(), n.next_attempt_at)
        WHERE n.id = ANY(ARRAY(SELECT id FROM parked WHERE status = 'pending'))
        RETURNING n.id
        """,
        name,
        most,
    )
    return len(freed)


def forget(kind: str, name: str) -> None:
    """Delete a resumed pause, unless a row that only this pause held is still parked."""
    rows(
        f"""
        WITH {PAUSES_HELD}
        DELETE FROM pauses
        WHERE kind = %s AND name = %s AND resumed_at IS NOT NULL AND NOT EXISTS (
            SELECT FROM notifications AS n
            WHERE status = 'pending' AND parked AND {_HELD_BY[kind]}
                  AND NOT {held("n")}
        )
        """,
        kind,
        name,
        name,
    )
