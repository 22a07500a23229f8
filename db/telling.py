"""What others are told is written by the statement that makes the change, so neither is without the other."""

from __future__ import annotations

# For RETURNING of a statement that ends notifications (the table is called n): writes a callback for each
# endpoint of the client that wants to hear of it. The function stands in migration 0008; whose client has
# no endpoint pays for one look at a table that is nearly always empty, once a statement.
#
# The subqueries are ordered by a key so that an index serves them: see SAFELY in db/prepared.py.
TELL = """CASE WHEN n.client_id IN (SELECT client_id FROM callbacks WHERE disabled_at IS NULL ORDER BY client_id)
               THEN tell(n) END"""


def note(name: str) -> str:
    """For RETURNING of any statement that changes notifications (n): writes the change down for the client's streams.

    `name` is SQL for what the change is called. Where nobody listens it costs what TELL does. The function
    stands in migration 0014. Never let a statement that changes a row do without: streams skip nothing.
    """
    return (
        "CASE WHEN n.callback_id IS NULL"
        " AND n.client_id IN (SELECT client_id FROM listeners WHERE until > now() ORDER BY client_id)"
        f" THEN note(n, {name}) END"
    )
