"""Find out whether the endpoints of a client accept their callbacks. Call within `connection()`."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from db.callbacks import LATELY
from db.database import rows


class Health(NamedTuple):
    """Health of an endpoint, judged by its newest LATELY callbacks.

    `last_success_at` and `last_failure_at` are the times of an attempt. `failing_since`: when the first callback was
    created that has failed since the last success; None if the last attempt was a success. `waiting`: callbacks that
    are pending or being delivered. `failed`: callbacks that will not be tried again, unless somebody retries them.
    """

    last_success_at: datetime | None
    last_failure_at: datetime | None
    failing_since: datetime | None
    waiting: int
    failed: int


def health(client_id: int, id: int | None = None) -> dict[int, Health]:
    """Return the health of one endpoint of a client, or of all of them, by its id."""
    found = rows(
        """
        SELECT c.id, h.* FROM callbacks AS c CROSS JOIN LATERAL (
            WITH lately AS MATERIALIZED (
                SELECT id, status, retry_count, created_at, finished_at FROM notifications
                WHERE callback_id = c.id ORDER BY created_at DESC, id DESC LIMIT %s
            ), tried AS (
                SELECT l.created_at, a.finished_at AS failed_at FROM lately AS l CROSS JOIN LATERAL (
                    SELECT finished_at FROM attempts
                    WHERE notification_id = l.id AND outcome <> 'sent' ORDER BY number DESC LIMIT 1) AS a
                WHERE l.status <> 'sent' OR l.retry_count > 0
            ), last AS (
                SELECT max(finished_at) FILTER (WHERE status = 'sent') AS success,
                       count(*) FILTER (WHERE status IN ('pending', 'processing')) AS waiting,
                       count(*) FILTER (WHERE status = 'failed') AS failed
                FROM lately
            )
            SELECT success, (SELECT max(failed_at) FROM tried),
                   (SELECT min(created_at) FROM tried WHERE failed_at > coalesce(success, '-infinity')),
                   waiting, failed
            FROM last) AS h
        WHERE c.client_id = %s AND (%s::bigint IS NULL OR c.id = %s) ORDER BY c.id
        """,
        *(LATELY, client_id, id, id),
    )
    return {id: Health(*values) for id, *values in found}
