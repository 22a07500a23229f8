"""Transitions that clients and operators ask for. Each leaves an event in the notification's timeline."""

from __future__ import annotations

from collections.abc import Mapping

from db import failures
from db.client_view import GUARD
from db.database import IN_ORDER, rows
from db.history.ends import COUNT_END
from db.lifecycle.clauses import UNCLAIMED, returned_ids
from db.records import Times
from db.reports import Position
from db.telling import ENQUEUE_CALLBACKS, append_event

# Events that operators can add to one notification. A timeline is read as a whole, so it must have a bound.
MOST_ACTS = 1_000

# For WHERE: the notification can take one more event. ORDER BY makes the planner use the index of events.
HAS_ROOM = f"""NOT EXISTS (SELECT FROM events WHERE notification_id = notifications.id
                                          ORDER BY at, id OFFSET {MOST_ACTS - 1})"""

# For SET: pending and due now, with all attempts ahead.
ANEW = f"""status = 'pending', retry_count = 0, failure_reason = NULL, finished_at = NULL, parked = false,
            {UNCLAIMED}, bound_provider = NULL, throttled_since = NULL, evidence_until = NULL,
            next_attempt_at = now()"""

# The event keeps the failure that the retry ends: the row no longer has it. Parameter: the operator's key.
RECORD_RETRY = """INSERT INTO events (notification_id, name, detail)
            SELECT id, 'retried', jsonb_build_object(
                'failureReason', failure_reason, 'failedAt', finished_at, 'keyId', %s::bigint)
            FROM redriven JOIN failed USING (id)"""

_CANCEL = f"""
            WITH cancelled AS (
                UPDATE notifications AS n
                SET status = 'cancelled', finished_at = now(), next_attempt_at = NULL, dispatch_after = NULL,
                    evidence_until = NULL
                WHERE id = %s AND client_id = %s AND {GUARD} AND (sandbox OR NOT %s)
                      AND status = 'pending'
                RETURNING n.id, {ENQUEUE_CALLBACKS}, {COUNT_END}, {append_event("'cancelled'")}
            )
            INSERT INTO events (notification_id, name, detail)
            SELECT id, 'cancelled', jsonb_build_object('keyId', %s::bigint) FROM cancelled
            RETURNING notification_id
            """

_CANCEL_ALL = f"""
        {IN_ORDER}
        WITH waiting AS MATERIALIZED (
            SELECT id FROM notifications
            WHERE client_id = %s AND status = 'pending' AND {GUARD} ORDER BY created_at, id LIMIT %s
        ), held AS MATERIALIZED (
            SELECT n.id, n.status FROM notifications AS n
            WHERE n.id = ANY(ARRAY(SELECT id FROM waiting)) ORDER BY n.id FOR UPDATE
        ), cancelled AS (
            UPDATE notifications AS n
            SET status = 'cancelled', finished_at = now(), next_attempt_at = NULL, dispatch_after = NULL,
                    evidence_until = NULL
            FROM held WHERE n.id = held.id AND held.status = 'pending'
            RETURNING n.id, {ENQUEUE_CALLBACKS}, {COUNT_END}, {append_event("'cancelled'")}
        )
        INSERT INTO events (notification_id, name, detail)
        SELECT id, 'cancelled', jsonb_build_object('keyId', %s::bigint) FROM cancelled
        RETURNING notification_id
        """

# held: the row with the times asked for. wanted: the same if it may have them; `changed` if anything differs, or if
# a retry that waits for its delay becomes due at the new time instead.
_RESCHEDULE = f"""
            WITH wanted AS MATERIALIZED (
                SELECT id, send_at, expires_at, (send_at, expires_at) IS DISTINCT FROM (was_send_at, was_expires_at)
                       OR %s AND next_attempt_at > now() AND next_attempt_at <> greatest(send_at, now()) AS changed
                FROM (SELECT id, status, next_attempt_at, evidence_until,
                             send_at AS was_send_at, expires_at AS was_expires_at,
                             CASE WHEN %s THEN %s::timestamptz ELSE send_at END AS send_at,
                             CASE WHEN %s THEN %s::timestamptz ELSE expires_at END AS expires_at
                      FROM notifications
                      WHERE id = %s AND client_id = %s AND {GUARD} AND (sandbox OR NOT %s)
                            AND {HAS_ROOM}
                      FOR UPDATE) AS held
                WHERE status = 'pending' AND (expires_at IS NULL OR expires_at > greatest(send_at, now()))
                      AND (evidence_until IS NULL OR NOT %s)
            ), moved AS (
                UPDATE notifications AS n
                SET send_at = wanted.send_at, expires_at = wanted.expires_at,
                    next_attempt_at = CASE WHEN %s THEN greatest(wanted.send_at, now()) ELSE n.next_attempt_at END,
                    dispatch_after = CASE WHEN %s THEN greatest(wanted.send_at, now()) ELSE n.dispatch_after END,
                    rung = n.rung AND NOT %s, parked = n.parked AND NOT %s
                FROM wanted WHERE n.id = wanted.id AND n.status = 'pending' AND wanted.changed
                RETURNING n.id, n.send_at, n.expires_at, {append_event("'rescheduled'")}
            ), noted AS (
                INSERT INTO events (notification_id, name, detail)
                SELECT id, 'rescheduled', jsonb_build_object(
                    'sendAt', rfc3339(send_at), 'expiresAt', rfc3339(expires_at), 'keyId', %s::bigint) FROM moved
            )
            SELECT id FROM wanted
            """

_REDRIVE = f"""
            WITH failed AS MATERIALIZED (
                SELECT id, status, evidence_until, failure_reason, finished_at FROM notifications
                WHERE id = %s AND client_id = %s AND callback_id IS NOT DISTINCT FROM %s::bigint
                      AND (sandbox OR NOT %s)
                      AND (expires_at IS NULL OR expires_at > now()) AND {HAS_ROOM}
                FOR UPDATE
            ), redriven AS (
                UPDATE notifications AS n
                SET {ANEW}, rung = true, dispatch_after = now() + %s * interval '1 second'
                FROM failed
                WHERE n.id = failed.id
                      AND (failed.status = 'failed' OR failed.status = 'pending' AND failed.evidence_until IS NOT NULL)
                RETURNING n.id, {append_event("'retried'")}
            )
            {RECORD_RETRY}
            RETURNING notification_id
            """


def cancel(id: int, client_id: int, key: int | None = None, *, only_sandbox: bool = False) -> bool:
    """pending -> cancelled: it is never sent.

    `key` is the id of the key that the request came with; the event names it. Return whether the row was moved.
    """
    return bool(returned_ids(_CANCEL, id, client_id, only_sandbox, key))


def cancel_all(client_id: int, most: int, key: int | None = None) -> list[int]:
    """pending -> cancelled, for up to `most` of a client's notifications, oldest first.

    Rows that another transaction moves at the same time are left out. Return the ids that were moved.
    """
    return returned_ids(_CANCEL_ALL, client_id, most, key)


def reschedule(id: int, client_id: int, times: Times, key: int | None = None, *, only_sandbox: bool = False) -> bool:
    """pending -> pending, with another `send_at` or `expires_at`. The relay enqueues it.

    Return False where the row is not pending, would be too late at once, or has MOST_ACTS events, and for another
    `send_at` where it waits for evidence: it may have been sent. Times that change nothing are accepted and leave no
    event.
    """
    moved = returned_ids(
        _RESCHEDULE,
        times.sends,
        *times,
        id,
        client_id,
        only_sandbox,
        *[times.sends] * 5,
        key,
    )
    return bool(moved)


def redrive(  # noqa: PLR0913 - whose row, and on whose behalf
    id: int,
    client_id: int,
    grace: float,
    key: int | None = None,
    callback: int | None = None,
    *,
    only_sandbox: bool = False,
) -> bool:
    """failed -> pending, with all attempts ahead: an operator's retry. It also ends a wait for evidence.

    The caller enqueues it; the relay does so if it is still pending after `grace` seconds. Return False where the row
    has not failed, has expired (it would only fail again), or has MOST_ACTS events. To retry a callback, give
    the endpoint that it goes to as `callback`.
    """
    return bool(returned_ids(_REDRIVE, id, client_id, callback, only_sandbox, grace, key))


def redrive_all(
    client_id: int, filters: Mapping[str, object], after: Position | None, most: int, key: int | None = None
) -> list[Position]:
    """failed -> pending, for up to `most` of a client's notifications that match `filters`, oldest first.

    Start after the position `after`. The relay enqueues them, as fast as the queue takes them. Return the positions of
    the rows that were moved, in order.
    """
    matching, values = failures.matching(client_id, filters, after)
    moved = rows(
        f"""
        WITH failed AS MATERIALIZED (
            SELECT id, status, failure_reason, finished_at FROM notifications
            WHERE {matching} AND {GUARD} AND {HAS_ROOM}
            ORDER BY created_at, id LIMIT %s FOR UPDATE
        ), redriven AS (
            UPDATE notifications AS n
            SET {ANEW}, rung = false, dispatch_after = now()
            WHERE n.id = ANY(ARRAY(SELECT id FROM failed WHERE status = 'failed'))
            RETURNING n.created_at, n.id, {append_event("'retried'")}
        ), noted AS (
            {RECORD_RETRY}
        )
        SELECT created_at, id FROM redriven
        """,
        *values,
        most,
        key,
    )
    return sorted(Position(*row) for row in moved)
