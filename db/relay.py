"""Whose bell must be rung again: pending rows whose `dispatch_after` has passed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from db.database import rows
from db.pauses import PAUSES_HELD, held, paused
from db.prepared import prepared

PARK = 3600.0  # seconds


class Due(NamedTuple):
    """`rung_at`: seconds since 1970, the same for all of one statement."""

    id: int
    client: int
    alone: bool
    rung_at: float
    parked: bool = False


# Steps from client to client in the index, however much each of them has.
CLIENTS = """RECURSIVE clients AS (
            (SELECT client_id AS id FROM notifications WHERE status = 'pending' AND lane = {lane}
             ORDER BY client_id LIMIT 1)
            UNION ALL
            SELECT (SELECT client_id FROM notifications
                    WHERE status = 'pending' AND lane = {lane} AND client_id > clients.id ORDER BY client_id LIMIT 1)
            FROM clients WHERE clients.id IS NOT NULL
        )"""


def _of_each_client(condition: str) -> str:
    """Parameters: lane, those of the condition, most. An equal part of `most` for each."""
    return f"""SELECT due.id FROM clients CROSS JOIN LATERAL (
                SELECT n.id FROM notifications AS n
                WHERE n.status = 'pending' AND n.lane = %s AND n.client_id = clients.id AND {condition}
                ORDER BY n.dispatch_after
                LIMIT (SELECT greatest(1, %s / greatest(1, count(id))) FROM clients) FOR UPDATE SKIP LOCKED
            ) AS due"""


def still_due(ids: Sequence[int]) -> list[int]:
    """Return those of `ids` that are pending and due, in id order."""
    sql = "SELECT id FROM notifications WHERE id = ANY(%s) AND status = 'pending' AND next_attempt_at <= now()"
    return sorted(id for (id,) in rows(sql, list(ids)))


def take_due(lane: str, grace: float, oldest_bell: float, most: int, park: float = PARK) -> list[Due]:
    """Take ids that are due to be rung, about `most` never rung and `most` rung before, and stamp them as rung now.

    `oldest_bell` is the age in seconds of the oldest bell of the lane that still waits, in the queue
    or in a worker's hands, 0 if none waits. A row that was rung (`dispatch_after - grace`) after that
    one still has its own bell behind it, so it is not rung again: a long backlog costs one bell per
    notification. What nobody has rung for yet waits for no other bell. Each client has an equal part,
    so that nobody waits for another one's backlog.

    What is paused is `parked` instead, and not to be rung: it is met again after `park` seconds,
    or when upkeep brings it back after a resume.
    """
    due = prepared(
        "relay",
        f"""
        WITH {CLIENTS.format(lane="%s")}, {PAUSES_HELD}, unrung AS MATERIALIZED (
            {_of_each_client("NOT n.rung AND n.dispatch_after <= now()")}
        ), unheard AS MATERIALIZED (
            {_of_each_client("n.dispatch_after <= now() + %s * interval '1 second'")}
        )
        UPDATE notifications AS n
        SET dispatch_after = now() + CASE WHEN {held("n")} THEN %s ELSE %s::float8 END * interval '1 second',
            rung = NOT {held("n")}, parked = {held("n")}
        -- An array, which is looked up id by id: how many a LIMIT lets through the planner can only guess, and of
        -- a backlog that was analyzed it guesses so many that it would read the whole table for them.
        WHERE n.id = ANY(ARRAY(SELECT id FROM unrung UNION SELECT id FROM unheard))
        RETURNING n.id, n.client_id, n.alone, extract(epoch FROM now())::float8, n.parked
        """,
        *(lane, lane),
        *(lane, most),
        *(lane, min(0.0, grace - oldest_bell), most),
        park,
        grace,
    )
    return sorted(Due(*row) for row in due)


def next_probe(among: int, provider: str = "") -> list[int]:
    """Choose the mail that tests whether a provider is well again; none if none is due.

    Clients take turns, so that what fails for one of them is not every probe. Of a client's mail it is one that
    has failed least, and of those the one of the highest priority. `among`: how many are looked at in each lane.
    """
    # Whatever a pooler has made of our settings: of a large backlog the estimate is high, and little is read.
    found = rows(
        f"""
        SET LOCAL jit = off;
        WITH chosen AS MATERIALIZED (
            SELECT due.id, due.client_id
            FROM (VALUES ('high', 1), ('normal', 2), ('bulk', 3)) AS lane (name, rank) CROSS JOIN LATERAL (
                WITH {CLIENTS.format(lane="lane.name")}
                SELECT due.* FROM clients CROSS JOIN LATERAL (
                    SELECT n.id, n.client_id, n.retry_count FROM notifications AS n
                    WHERE n.status = 'pending' AND n.lane = lane.name AND n.client_id = clients.id
                          AND n.next_attempt_at <= now() AND n.type = 'email' AND NOT n.sandbox AND NOT {paused("n")}
                    ORDER BY n.dispatch_after
                    LIMIT (SELECT greatest(1, %s / greatest(1, count(id))) FROM clients)
                ) AS due
            ) AS due
            ORDER BY coalesce(due.client_id <= (SELECT probed_client FROM providers WHERE name = %s), false),
                     due.client_id, due.retry_count, lane.rank, due.id
            LIMIT 1
        ), noted AS (
            UPDATE providers SET probed_client = chosen.client_id FROM chosen WHERE name = %s
        )
        SELECT id FROM chosen
        """,
        *(among, provider, provider),
    )
    return [id for (id,) in found]
