"""The newest failures, at a cost that does not grow with the tables. Call within `connection()`."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from db.database import rows
from db.live_stats import CLIENTS_SEEN


class Failure(NamedTuple):
    """A failed notification. `error`, the answer of the other side, may hold an address: show it to operators only."""

    id: int
    client: str
    type: str
    reason: str
    failed_at: datetime
    error: str | None


def newest(most: int) -> list[Failure]:
    """Return up to `most` failures, the latest first, among the newest notifications of each client."""
    found = rows(
        """
        SELECT n.id, c.name, n.type, n.failure_reason, n.finished_at, n.last_error
        FROM (SELECT id, name FROM clients LIMIT %s) AS c CROSS JOIN LATERAL (
            SELECT * FROM notifications AS n WHERE n.client_id = c.id AND n.status = 'failed'
            ORDER BY n.created_at DESC, n.id DESC LIMIT %s) AS n
        ORDER BY n.finished_at DESC, n.id DESC LIMIT %s
        """,
        CLIENTS_SEEN,
        most,
        most,
    )
    return [Failure(*row) for row in found]
