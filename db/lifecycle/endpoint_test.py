"""Create test callbacks, with which a client checks its endpoint."""

from __future__ import annotations

from db.database import rows

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


def enqueue_test(client_id: int, callback: int, grace: float) -> int | None:
    """(client) -> pending: a test callback to an endpoint. Return its id; None if the endpoint is disabled or unknown.

    The caller enqueues it; the relay does so if it is still pending after `grace` seconds.
    """
    made = rows(_ENQUEUE_TEST, EVENT, EVENT, KEPT, grace, client_id, callback)
    return made[0][0] if made else None
