"""Counts of what each worker process has done since it started, reported with its heartbeats."""

from typing import Any

SQL = """
-- By outcome, how many: sums that only ever grow, so whoever looks twice knows how fast.
ALTER TABLE workers ADD COLUMN tallies jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(tallies) = 'object');
"""


def up(_migrator: Any, db: Any) -> None:
    db.execute_sql(SQL)
