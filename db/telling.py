"""Callbacks are written by the statement that makes the change they tell of, so neither is without the other."""

from __future__ import annotations

# For RETURNING of a statement that ends notifications (the table is called n): writes a callback for each
# endpoint of the client that wants to hear of it. The function stands in migration 0008; whose client has
# no endpoint pays for one look at a table that is nearly always empty, once a statement.
TELL = "CASE WHEN n.client_id IN (SELECT client_id FROM callbacks WHERE disabled_at IS NULL) THEN tell(n) END"
