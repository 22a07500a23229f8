"""The trace of a notification, if TRACING is on. The row carries it because Redis may lose its messages."""

from typing import Any

SQL = """
-- W3C traceparent, and tracestate after a space. NULL, which takes no room, where nobody traces.
ALTER TABLE notifications ADD COLUMN trace text CHECK (length(trace) BETWEEN 55 AND 568);
"""


def up(_migrator: Any, db: Any) -> None:
    db.execute_sql(SQL)
