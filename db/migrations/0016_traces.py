"""The trace that a notification belongs to, where TRACING is on: Redis may lose what it carries, so the row does."""

from typing import Any

SQL = """
-- W3C traceparent, and tracestate after a space. NULL, which takes no room, where nobody traces.
ALTER TABLE notifications ADD COLUMN trace text CHECK (length(trace) BETWEEN 55 AND 568);
"""


def up(_migrator: Any, db: Any) -> None:
    db.execute_sql(SQL)
