"""Counts of the pending notifications of each client. One worker counts them regularly, and every API process reads the
counts.

A count costs in proportion to the backlog. So it runs outside of requests, stops at each client's limit, and runs
less often the longer it takes. Callbacks are not counted, because clients do not post them. Call within
`connection()`.
"""

from __future__ import annotations

from typing import NamedTuple

from db.database import database, rows

LEASE = 60.0  # seconds after which another worker counts, if the one whose turn it was died or did not finish
# Share of the time that counting may take.
SHARE = 0.05


class Backlogs(NamedTuple):
    """The last count. `counted_at`: seconds since 1970 on the database's clock, 0 for never.

    `pending`: the counts that are not 0, by `backlog_of`.
    """

    counted_at: float
    pending: dict[int, int]


def backlog_of(client_id: int, *, sandbox: bool) -> int:
    """Return the number under which notifications of a client are counted: the sandbox has a number of its own."""
    return -client_id if sandbox else client_id


def take_turn() -> bool:
    """Return whether it is this worker's turn to count."""
    return bool(
        rows(
            "UPDATE backlog_counts SET due_at = now() + %s * interval '1 second' WHERE due_at <= now() RETURNING true",
            LEASE,
        )
    )


def count(limit: int, interval: float, timeout: float) -> None:
    """Count the pending notifications of each client, up to one above the client's limit.

    `limit` applies to clients without a limit of their own (0: unlimited). The next count is due in `interval`
    seconds, later if this one took long.

    Raises:
        Unavailable: the count took more than `timeout` seconds.
    """
    with database.atomic():
        rows("SELECT set_config('statement_timeout', %s, true)", f"{max(1, round(timeout * 1000))}ms")
        # With old statistics the planner might read the whole table, or all pending rows.
        rows("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL jit = off")
        counted = rows(_COUNT, limit)
        rows("SET LOCAL enable_seqscan TO DEFAULT; SET LOCAL enable_bitmapscan TO DEFAULT")
        rows(_RECORD, [client for client, _ in counted], [pending for _, pending in counted])
        rows(
            "UPDATE backlog_counts SET counted_at = now(),"
            " due_at = clock_timestamp() + greatest(%s * interval '1 second', (clock_timestamp() - now()) / %s)",
            interval,
            SHARE,
        )


def read() -> Backlogs:
    """Return the last count."""
    found = rows(
        """
        SELECT coalesce(extract(epoch FROM c.counted_at), 0)::float8, b.client_id, b.pending
        FROM backlog_counts AS c LEFT JOIN backlogs AS b ON true
        """
    )
    return Backlogs(found[0][0], {client: pending for _, client, pending in found if client is not None})


# waiting: the clients with pending rows by priority; each step is one look into the relay's index, however many rows a
# client has.
_COUNT = """
WITH RECURSIVE waiting AS (
    (SELECT lane, client_id FROM notifications WHERE status = 'pending' ORDER BY lane, client_id LIMIT 1)
    UNION ALL
    SELECT next.* FROM waiting CROSS JOIN LATERAL (
        SELECT n.lane, n.client_id FROM notifications AS n
        WHERE n.status = 'pending' AND (n.lane, n.client_id) > (waiting.lane, waiting.client_id)
        ORDER BY n.lane, n.client_id LIMIT 1
    ) AS next
), limited AS (
    SELECT id, coalesce(pending_limit, nullif(%s, 0)) AS most FROM clients
    WHERE id IN (SELECT client_id FROM waiting WHERE lane <> 'callback')
), queues AS MATERIALIZED (
    SELECT ARRAY(SELECT DISTINCT lane FROM waiting WHERE lane <> 'callback') AS names
)
SELECT id, pending FROM (
    SELECT id, (SELECT count(*) FROM (
        SELECT FROM notifications AS n
        WHERE n.status = 'pending' AND n.lane = ANY((SELECT names FROM queues)::text[])
              AND n.client_id = limited.id AND NOT n.sandbox
        LIMIT limited.most::bigint + 1
    ) AS n) AS pending FROM limited WHERE most IS NOT NULL
    UNION ALL
    SELECT -id, (SELECT count(*) FROM (
        SELECT FROM notifications AS n
        WHERE n.status = 'pending' AND n.lane = ANY((SELECT names FROM queues)::text[])
              AND n.client_id = limited.id AND n.sandbox
        LIMIT limited.most::bigint + 1
    ) AS n) FROM limited WHERE most IS NOT NULL
) AS counted
WHERE pending > 0
"""

_RECORD = """
WITH counted AS MATERIALIZED (
    SELECT * FROM unnest(%s::bigint[], %s::int[]) AS counted (id, pending)
), gone AS (
    DELETE FROM backlogs WHERE client_id NOT IN (SELECT id FROM counted)
)
INSERT INTO backlogs (client_id, pending) SELECT id, pending FROM counted
ON CONFLICT (client_id) DO UPDATE SET pending = excluded.pending WHERE backlogs.pending <> excluded.pending
"""
