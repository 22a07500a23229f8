"""Who listens: clients whose changes are written down. Call within `connection()`.

A lease for each, which API processes renew while somebody listens, and which outlasts the last listener,
so that whoever comes back soon has missed nothing. A statement writes down changes if it sees the lease;
one that was running when the lease came does not. So a client's record is whole only from the moment when
all such statements have ended: its `since`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from db.database import rows

# Seconds: longer than it takes from the beginning of a statement that finds a lease over to the commit of a renewal.
MARGIN = 15.0


def hold(clients: Collection[int], kept: float) -> dict[int, int | None]:
    """Take or renew the leases of these clients for `kept` seconds from now.

    Returns from which change on each one's record is whole; None: it has just begun, see `begin`.
    """
    found = rows(
        """
        INSERT INTO listeners AS l (client_id, until)
        SELECT id, now() + %s * interval '1 second' FROM unnest(%s::bigint[]) AS id ORDER BY id
        ON CONFLICT (client_id) DO UPDATE
        SET until = excluded.until,
            -- It has ended, or may for some statements: nobody knows what is missing.
            since = CASE WHEN l.until > now() + %s * interval '1 second' THEN l.since END
        RETURNING client_id, since
        """,
        *(kept, sorted(clients), MARGIN),
    )
    return dict(found)


def transactions() -> frozenset[str]:
    """All transactions in this database, our own aside: those that began before a lease do not know of it."""
    found = rows(
        """
        SELECT l.virtualtransaction FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
        WHERE l.locktype = 'virtualxid' AND l.granted AND a.datname = current_database()
              AND a.usesysid IS NOT NULL AND l.pid <> pg_backend_pid()
        """
    )
    return frozenset(name for (name,) in found)


def begin(clients: Collection[int], since: int) -> dict[int, int]:
    """The records of these clients are whole from this change on, unless they were before; returns from which on."""
    found = rows(
        """
        WITH held AS MATERIALIZED (
            SELECT client_id FROM listeners WHERE client_id = ANY(%s) ORDER BY client_id FOR UPDATE
        )
        UPDATE listeners AS l SET since = coalesce(l.since, %s)
        FROM held WHERE l.client_id = held.client_id AND l.until > now() + %s * interval '1 second'
        RETURNING l.client_id, l.since
        """,
        *(sorted(clients), since, MARGIN),
    )
    return dict(found)


def whole(clients: Sequence[int]) -> dict[int, int]:
    """From which change on the record of each is whole; those that have none are not in it."""
    return dict(
        rows(
            "SELECT client_id, since FROM listeners WHERE client_id = ANY(%s) AND since IS NOT NULL AND until > now()",
            list(clients),
        )
    )


def forget(most: int) -> None:
    """Delete up to `most` leases that are over."""
    rows(
        """
        DELETE FROM listeners WHERE client_id IN (
            SELECT client_id FROM listeners WHERE until <= now() ORDER BY client_id LIMIT %s FOR UPDATE SKIP LOCKED)
        """,
        most,
    )
