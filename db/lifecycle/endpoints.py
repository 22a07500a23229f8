"""Transitions of the callbacks to one endpoint that its client asks for: tests, and the retry of all that failed."""

from __future__ import annotations

from db.database import rows
from db.lifecycle.clauses import returned_ids
from db.lifecycle.operate import ANEW, HAS_ROOM, RECORD_RETRY
from db.telling import append_event

EVENT = "callback.test"
KEPT = 300  # seconds after which a test that was not delivered fails as expired

# A test is about no notification: its subject_id is 0.
_ENQUEUE_TEST = """
            INSERT INTO notifications (type, lane, client_id, recipient, subject, message, callback_id, subject_id,
                                       expires_at, rung, dispatch_after)
            SELECT 'callback', 'callback', c.client_id, 'callback/' || c.id, %s,
                   json_build_object('type', %s::text, 'timestamp', rfc3339(now()),
                                     'data', json_build_object('endpointId', c.id))::text,
                   c.id, 0, now() + %s * interval '1 second', true, now() + %s * interval '1 second'
            FROM callbacks AS c
            WHERE c.client_id = %s AND c.id = %s AND c.disabled_at IS NULL
            RETURNING id
            """


_REDRIVE = f"""
            WITH failed AS MATERIALIZED (
                SELECT id, status, failure_reason, finished_at FROM notifications
                WHERE client_id = %s AND status = 'failed' AND callback_id = %s
                      AND (expires_at IS NULL OR expires_at > now()) AND {HAS_ROOM}
                ORDER BY created_at, id LIMIT %s FOR UPDATE
            ), redriven AS (
                UPDATE notifications AS n
                SET {ANEW}, rung = false, dispatch_after = now()
                WHERE n.id = ANY(ARRAY(SELECT id FROM failed WHERE status = 'failed'))
                RETURNING n.id, {append_event("'retried'")}
            )
            {RECORD_RETRY}
            RETURNING notification_id
            """


def enqueue_test(client_id: int, callback: int, grace: float) -> int | None:
    """(client) -> pending: a test callback to an endpoint. Return its id; None if the endpoint is disabled or unknown.

    The caller enqueues it; the relay does so if it is still pending after `grace` seconds.
    """
    made = rows(_ENQUEUE_TEST, EVENT, EVENT, KEPT, grace, client_id, callback)
    return made[0][0] if made else None


def redrive_callbacks(client_id: int, callback: int, most: int, key: int | None = None) -> list[int]:
    """failed -> pending, with all attempts ahead, for up to `most` callbacks to an endpoint, oldest first.

    The relay enqueues them. Callbacks that have expired are left out. Return the ids that were moved.
    """
    return returned_ids(_REDRIVE, client_id, callback, most, key)
