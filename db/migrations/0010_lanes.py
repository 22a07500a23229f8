"""Fairness: the relay treats each priority separately, and gives each client in it an equal part."""

from typing import Any

SQL = """
DROP INDEX notifications_relay, notifications_unrung;
-- For the relay: whose turn it is in a lane, and what of his is due to be rung again, oldest first.
CREATE INDEX notifications_relay ON notifications (lane, client_id, dispatch_after) WHERE status = 'pending';
-- For the relay: what nobody has rung for yet; nearly always empty.
CREATE INDEX notifications_unrung ON notifications (lane, client_id, dispatch_after)
    WHERE status = 'pending' AND NOT rung;

-- How long the oldest bell waits that this worker has fetched and not begun, by lane: seconds since 1970.
ALTER TABLE workers DROP COLUMN oldest_bell_at, ADD COLUMN oldest_bells jsonb NOT NULL DEFAULT '{}';
"""


def up(_migrator: Any, db: Any) -> None:
    db.execute_sql(SQL)
