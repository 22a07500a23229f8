"""The list of notifications by their priority."""

from typing import Any

SQL = """
-- For a client's list of a priority that is rare. Nearly all are normal in most systems, and those the list finds by
-- itself; a lane never changes, so that no later UPDATE touches this index.
CREATE INDEX notifications_priority ON notifications (client_id, lane, created_at, id) WHERE lane IN ('high', 'bulk');
"""


def up(_migrator: Any, db: Any) -> None:
    db.execute_sql(SQL)
