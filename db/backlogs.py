"""How many notifications of each client wait to be sent: counted now and then by one worker, read by every API process.

Counting costs in proportion to what waits, so it is done outside of requests, no further than each
client's limit, and the more seldom the longer it takes. Callbacks are not counted: clients do not
post them. Call within `connection()`.
"""

from __future__ import annotations

from typing import NamedTuple

from db.database import database, rows
from db.models import PRIORITIES

LEASE = 60.0  # seconds: then another worker counts, if the one that took it has died or was not done in time
# Of the time, how much may be spent on counting.
SHARE = 0.05


class Backlogs(NamedTuple):
    """`pending`: by `backlog_of`, those who had something waiting.

    `counted_at`: in the database's seconds since 1970, 0 for never.
    """

    counted_at: float
    pending: dict[int, int]


def backlog_of(client_id: int, *, sandbox: bool) -> int:
    """Return the number under which the notifications of a client are counted: tests apart from what goes out."""
    return -client_id if sandbox else client_id


def take_turn() -> bool:
    """Of all workers that ask, one counts now."""
    return bool(
        rows(
            "UPDATE backlog_counts SET due_at = now() + %s * interval '1 second' WHERE due_at <= now() RETURNING true",
            LEASE,
        )
    )


def count(limit: int, interval: float, patience: float) -> None:
    """Count what waits for each client, no further than one beyond its limit, or `limit` where it has none (0: none).

    It is to be done again in `interval` seconds, later where it took long.

    Raises:
        Unavailable: it was not done within `patience` seconds.
    """
    with database.atomic():
        rows("SELECT set_config('statement_timeout', %s, true)", f"{max(1, round(patience * 1000))}ms")
        # However old the statistics are, a look through the whole table is never the way, nor one at all that waits.
        rows("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL jit = off")
        counted = rows(_COUNT, limit, list(PRIORITIES), list(PRIORITIES))
        rows("SET LOCAL enable_seqscan TO DEFAULT; SET LOCAL enable_bitmapscan TO DEFAULT")
        rows(_RECORD, [client for client, _ in counted], [pending for _, pending in counted])
        rows(
            "UPDATE backlog_counts SET counted_at = now(),"
            " due_at = clock_timestamp() + greatest(%s * interval '1 second', (clock_timestamp() - now()) / %s)",
            interval,
            SHARE,
        )


def read() -> Backlogs:
    """The last count."""
    found = rows(
        """
        SELECT coalesce(extract(epoch FROM c.counted_at), 0)::float8, b.client_id, b.pending
        FROM backlog_counts AS c LEFT JOIN backlogs AS b ON true
        """
    )
    return Backlogs(found[0][0], {client: pending for _, client, pending in found if client is not None})


# Steps from client to client in the index of the relay, however much each of them has.
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
    WHERE id IN (SELECT client_id FROM waiting WHERE lane = ANY(%s))
)
SELECT id, pending FROM (
    SELECT CASE WHEN kind.sandbox THEN -id ELSE id END AS id, (SELECT count(*) FROM (
        SELECT FROM notifications AS n
        WHERE n.status = 'pending' AND n.lane = ANY(%s) AND n.client_id = limited.id AND n.sandbox = kind.sandbox
        LIMIT limited.most::bigint + 1
    ) AS n) AS pending
    FROM limited CROSS JOIN (VALUES (false), (true)) AS kind (sandbox) WHERE most IS NOT NULL
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
