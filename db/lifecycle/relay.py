"""The relay: take pending rows whose `dispatch_after` has passed, so that upkeep enqueues them again.

Columns with older words: `rung` is true once a wake-up message was enqueued since the row became pending;
`parked` is true once the relay has met the row during a pause; `alone` asks for a message of its own.
"""

from __future__ import annotations

from typing import NamedTuple

from db.pauses import PAUSES_HELD, held
from db.prepared import prepared

PARK = 3600.0  # seconds


class Due(NamedTuple):
    """A row that the relay has taken. `enqueued_at`: seconds since 1970, equal for all rows of one statement."""

    id: int
    client: int
    alone: bool
    enqueued_at: float
    parked: bool = False


# For WITH: the clients that have pending rows of a priority. Each step is one look into the index, however many rows a
# client has.
CLIENTS = """RECURSIVE clients AS (
            (SELECT client_id AS id FROM notifications WHERE status = 'pending' AND lane = {lane}
             ORDER BY client_id LIMIT 1)
            UNION ALL
            SELECT (SELECT client_id FROM notifications
                    WHERE status = 'pending' AND lane = {lane} AND client_id > clients.id ORDER BY client_id LIMIT 1)
            FROM clients WHERE clients.id IS NOT NULL
        )"""


def _of_each_client(condition: str) -> str:
    """Return SQL for the ids of rows that meet a condition, an equal part of `most` for each client.

    Parameters: priority, those of the condition, most.
    """
    return f"""SELECT due.id FROM clients CROSS JOIN LATERAL (
                SELECT n.id FROM notifications AS n
                WHERE n.status = 'pending' AND n.lane = %s AND n.client_id = clients.id AND {condition}
                ORDER BY n.dispatch_after
                LIMIT (SELECT greatest(1, %s / greatest(1, count(id))) FROM clients) FOR UPDATE SKIP LOCKED
            ) AS due"""


# unrung: never enqueued. unheard: enqueued before, but no waiting message is that old.
_TAKE = f"""
        WITH {CLIENTS.format(lane="%s")}, {PAUSES_HELD}, unrung AS MATERIALIZED (
            {_of_each_client("NOT n.rung AND n.dispatch_after <= now()")}
        ), unheard AS MATERIALIZED (
            {_of_each_client("n.dispatch_after <= now() + %s * interval '1 second'")}
        )
        UPDATE notifications AS n
        SET dispatch_after = now() + CASE WHEN {held("n")} THEN %s ELSE %s::float8 END * interval '1 second',
            rung = NOT {held("n")}, parked = {held("n")}
        -- An array is looked up id by id. How many rows a LIMIT lets through is a guess of the planner, and for an
        -- analyzed backlog it guesses so many that it would read the whole table for them.
        WHERE n.id = ANY(ARRAY(SELECT id FROM unrung UNION SELECT id FROM unheard))
        RETURNING n.id, n.client_id, n.alone, extract(epoch FROM now())::float8, n.parked
        """


def take_due(priority: str, grace: float, oldest_message: float, most: int, park: float = PARK) -> list[Due]:
    """pending -> pending: take rows of a priority that are due to be enqueued, and mark them as enqueued now.

    Take about `most` rows that were never enqueued and `most` that were. Each client gets an equal part, so that
    no client waits for the backlog of another one. Rows that another transaction has locked are skipped.

    `oldest_message` is the age in seconds of the oldest wake-up message of the priority that still waits, in the queue
    or in a worker's hands; 0 if none waits. A row that was enqueued after it (at `dispatch_after - grace`) still has
    its own message in the queue, so it is not enqueued again: a long backlog costs one message per notification. Rows
    that were never enqueued do not wait for other messages.

    A paused row becomes `parked`, and must not be enqueued. The relay meets it again after `park` seconds; after a
    resume, upkeep brings it back.
    """
    due = prepared(
        "relay",
        _TAKE,
        *(priority, priority),
        *(priority, most),
        *(priority, min(0.0, grace - oldest_message), most),
        park,
        grace,
    )
    return sorted(Due(*row) for row in due)
