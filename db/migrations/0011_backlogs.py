"""Counts of the pending notifications of each client, for their limits."""

from typing import Any

SQL = """
-- Only those who had something waiting at the last count.
CREATE TABLE backlogs (
    client_id bigint PRIMARY KEY,
    pending   integer NOT NULL CHECK (pending > 0)
);

-- One row: when all were counted last, and when they are to be counted again, by whichever worker comes first.
CREATE TABLE backlog_counts (
    only_one   boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    counted_at timestamptz,
    due_at     timestamptz NOT NULL DEFAULT now()
);
INSERT INTO backlog_counts DEFAULT VALUES;
"""


def up(_migrator: Any, db: Any) -> None:
    db.execute_sql(SQL)
