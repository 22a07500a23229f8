"""Which trace a callback belongs to: that of the notification it tells of. Call within `connection()`."""

from __future__ import annotations

from collections.abc import Collection

from db.database import rows


def of_subjects(callbacks: Collection[int]) -> dict[int, str]:
    """The traces of what these callbacks tell of, by the callbacks' ids; without those that have none."""
    found = rows(
        """
        SELECT c.id, n.trace FROM notifications AS c JOIN notifications AS n ON n.id = c.subject_id
        WHERE c.id = ANY(%s) AND n.trace IS NOT NULL
        """,
        list(callbacks),
    )
    return dict(found)
