"""Write callbacks and changes in the statement that makes the transition, so neither exists without the other."""

from __future__ import annotations

# For RETURNING of a statement that ends notifications (alias n): writes a callback for each endpoint of the client that
# subscribes to the event. Migration 0008 has the function. If no client has an endpoint, it costs one look at an empty
# table for each statement.
#
# The subqueries have an ORDER BY so that an index serves them: see SAFELY in db/prepared.py.
ENQUEUE_CALLBACKS = """
    CASE WHEN n.client_id IN (SELECT client_id FROM callbacks WHERE disabled_at IS NULL ORDER BY client_id)
               THEN tell(n) END"""


def append_event(name: str) -> str:
    """Return SQL for RETURNING of a statement that changes notifications (alias n): records the change for streams.

    `name` is SQL for the name of the change. Migration 0014 has the function; without listeners it costs as
    little as ENQUEUE_CALLBACKS. Every statement that changes a row needs it, or streams would miss the change.
    """
    return (
        "CASE WHEN n.callback_id IS NULL"
        " AND n.client_id IN (SELECT client_id FROM listeners WHERE until > now() ORDER BY client_id)"
        f" THEN note(n, {name}) END"
    )


def enqueue_delivery_callbacks(event: str, at: str, evidence: str) -> str:
    """Return SQL for RETURNING of a statement that raises the delivery status (alias n).

    `event`, `at` and `evidence` are SQL. Like ENQUEUE_CALLBACKS; migration 0035 has the function.
    """
    return (
        "CASE WHEN n.client_id IN (SELECT client_id FROM callbacks WHERE disabled_at IS NULL ORDER BY client_id)"
        f" THEN tell_event(n, {event}, {at}, {evidence}) END"
    )
