"""What is not sent for now: a client's notifications, a channel's, or all of a client that is disabled.

    (nothing) --pause--> paused --resume--> resumed --forget, once nothing is parked--> (nothing)
                           ^                   |
                           +------ pause ------+

While it is paused, the claim refuses its rows, and the relay parks those that it meets, so that a
long backlog is not looked at in every round. The relay holds the pauses it goes by until its
statement has ended, and a resume waits for that: whatever was parked is there to be found when
upkeep looks for what a resumed pause has held. Call within `connection()`.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from db.database import rows
from db.models import CALLBACK

# The pauses in force, for a statement that asks `held(...)`: none of them ends before the statement has.
# Ordered by the key so that an index serves it: see SAFELY in db/prepared.py.
_PAUSES = "FROM pauses WHERE resumed_at IS NULL ORDER BY kind, name"
PAUSES_HELD = f"paused AS MATERIALIZED (SELECT kind || ' ' || name AS what {_PAUSES} FOR SHARE)"
_IN_FORCE = f"SELECT kind || ' ' || name {_PAUSES}"
_HELD_BY = {"client": "client_id = %s::bigint", "channel": "type = %s", "disabled": "client_id = %s::bigint"}


class Pause(NamedTuple):
    """`kind`: client, channel, or disabled (a client); `since`: None while not paused.

    `name`: the client's id, or the channel's type.
    """

    kind: str
    name: str
    since: datetime | None = None


def paused(row: str) -> str:
    """As SQL: whether a pause holds the row of this alias now. The pauses are read once, whatever the rows."""
    return f"({_names(row)} && ARRAY({_IN_FORCE}))"


def held(row: str) -> str:
    """The same by PAUSES_HELD."""
    return f"({_names(row)} && ARRAY(SELECT what FROM paused))"


def _names(row: str) -> str:
    # A client that sends nothing for now still wants to hear what becomes of it.
    client = f"CASE WHEN {row}.type <> '{CALLBACK}' THEN 'client ' || {row}.client_id END"
    return f"ARRAY[{client}, 'channel ' || {row}.type, 'disabled ' || {row}.client_id]"


def pause(kind: str, name: str) -> Pause:
    """From now on nothing more of it is begun; what is being sent is finished. Again: no change."""
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
    """From now on it is sent again; upkeep brings back what was parked."""
    rows("UPDATE pauses SET resumed_at = now() WHERE kind = %s AND name = %s AND resumed_at IS NULL", kind, name)
    return Pause(kind, name)


def in_force(client_id: int) -> list[Pause]:
    """The pauses that concern this client: its own, and those of channels."""
    found = rows(
        "SELECT kind, name, since FROM pauses WHERE resumed_at IS NULL"
        " AND (kind = 'channel' OR kind = 'client' AND name = %s) ORDER BY kind, name",
        str(client_id),
    )
    return [Pause(*row) for row in found]


def all_in_force() -> list[Pause]:
    """Whomever they concern."""
    found = rows("SELECT kind, name, since FROM pauses WHERE resumed_at IS NULL ORDER BY kind, name")
    return [Pause(*row) for row in found]


def resumed() -> list[Pause]:
    """Those that have ended and may still have rows parked."""
    return [Pause(*row) for row in rows("SELECT kind, name FROM pauses WHERE resumed_at IS NOT NULL")]


def bring_back(kind: str, name: str, most: int) -> int:
    """Have the relay ring up to `most` of the rows that were parked for it and that no other pause holds."""
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
    """Drop a resumed pause once nothing is parked that it alone has held."""
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
