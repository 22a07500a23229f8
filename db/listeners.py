"""Leases of clients that listen to streams: while a lease lasts, the client's changes are recorded.

API processes renew a lease while a client listens. It outlasts the last listener, so that a client that reconnects soon
has missed nothing. A statement records changes if it sees the lease; a statement that was running when the lease began
does not. So the record of a client is complete only from the moment when all such statements have ended: its
`since`, the number of a change. Call within `connection()`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from db.database import rows

# Seconds. Longer than the time from the start of a statement that sees an ended lease to the commit of its renewal.
MARGIN = 15.0


def hold(clients: Collection[int], kept: float) -> dict[int, int | None]:
    """Take or renew the leases of these clients for `kept` seconds from now.

    Return the change from which on each client's record is complete; None if the lease has just begun: see `begin`.
    """
    found = rows(
        """
        INSERT INTO listeners AS l (client_id, until)
        SELECT id, now() + %s * interval '1 second' FROM unnest(%s::bigint[]) AS id ORDER BY id
        ON CONFLICT (client_id) DO UPDATE
        SET until = excluded.until,
            -- The lease has ended, or may have for some statements: changes may be missing.
            since = CASE WHEN l.until > now() + %s * interval '1 second' THEN l.since END
        RETURNING client_id, since
        """,
        *(kept, sorted(clients), MARGIN),
    )
    return dict(found)


def transactions() -> frozenset[str]:
    """Return all other transactions in this database. Those that began before a lease do not see it."""
    found = rows(
        """
        SELECT l.virtualtransaction FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
        WHERE l.locktype = 'virtualxid' AND l.granted AND a.datname = current_database()
              AND a.usesysid IS NOT NULL AND l.pid <> pg_backend_pid()
        """
    )
    return frozenset(name for (name,) in found)


def begin(clients: Collection[int], since: int) -> dict[int, int]:
    """Mark the records of these clients as complete from the change `since` on, unless they were before.

    Return the change from which on each is complete.
    """
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
    """Return the change from which on each client's record is complete; clients without one are left out."""
    return dict(
        rows(
            "SELECT client_id, since FROM listeners WHERE client_id = ANY(%s) AND since IS NOT NULL AND until > now()",
            list(clients),
        )
    )


def forget(most: int) -> None:
    """Delete up to `most` leases that have ended."""
    rows(
        """
        DELETE FROM listeners WHERE client_id IN (
            SELECT client_id FROM listeners WHERE until <= now() ORDER BY client_id LIMIT %s FOR UPDATE SKIP LOCKED)
        """,
        most,
    )
