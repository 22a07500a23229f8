"""Which failed notifications of a client a filter is true of. Call within `connection()`."""

from __future__ import annotations

from collections.abc import Mapping

from db.database import rows
from db.reports import Position

_CONDITIONS = {
    "failure_reason": "failure_reason = %s",
    "last_outcome": "EXISTS (SELECT FROM attempts AS a WHERE a.notification_id = notifications.id"
    " AND a.number = notifications.attempt_count AND a.outcome = %s)",
    "type": "type = %s",
    "recipient": "recipient = %s",
    "lane": "lane = %s",
    "tag": "tags @> jsonb_build_array(%s::text)",
    "created_from": "created_at >= %s",
    "created_to": "created_at < %s",
    "sandbox": "sandbox = %s",
}


def matching(client_id: int, filters: Mapping[str, object], after: Position | None) -> tuple[str, list[object]]:
    """The condition as SQL and its values: failed, not too late by now, created after `after`.

    `filters`: failure_reason, last_outcome (of its last attempt), type, recipient, lane, tag,
    created_from (inclusive), created_to (exclusive), sandbox.
    """
    conditions = [
        "status = 'failed'",
        "(expires_at IS NULL OR expires_at > now())",
        "client_id = %s",
        "callback_id IS NULL",
    ]
    values: list[object] = [client_id]
    for name, value in filters.items():
        conditions.append(_CONDITIONS[name])
        values.append(value)
    if after is not None:
        conditions.append("(created_at, id) > (%s, %s)")
        values += after
    return " AND ".join(conditions), values


def count(client_id: int, filters: Mapping[str, object], after: Position | None, most: int) -> int:
    """How many there are; counts no further than `most`."""
    condition, values = matching(client_id, filters, after)
    [(found,)] = rows(
        f"SELECT count(*) FROM (SELECT FROM notifications WHERE {condition} LIMIT %s) AS f", *values, most
    )
    return int(found)
