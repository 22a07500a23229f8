"""Traces: those of notifications that callbacks are about, and the attributes of the spans of statements."""

from __future__ import annotations

from collections.abc import Collection

from db.database import rows


def of_subjects(callbacks: Collection[int]) -> dict[int, str]:
    """Return the traces of these callbacks by id. Call within `connection()`.

    A callback belongs to the trace of the notification that it is about. Callbacks without a trace are left out.
    """
    found = rows(
        """
        SELECT c.id, n.trace FROM notifications AS c JOIN notifications AS n ON n.id = c.subject_id
        WHERE c.id = ANY(%s) AND n.trace IS NOT NULL
        """,
        list(callbacks),
    )
    return dict(found)


def statement(operation: str, table: str, count: int) -> dict[str, str | int | bool]:
    """Return the attributes of the span of a statement for `count` notifications."""
    size = {"db.operation.batch.size": count} if count > 1 else {}
    return {"db.system.name": "postgresql", "db.operation.name": operation, "db.collection.name": table, **size}
