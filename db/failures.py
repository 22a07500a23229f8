"""Find, count and group the failed notifications of a client. Call within `connection()`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

from db.client_view import VIEW
from db.database import rows
from db.reports import Position


class Group(NamedTuple):
    """Failures of the same kind.

    `outcome`, `provider`, `phase` and `reply_code` are those of the last attempt; None if there was none. `number` is
    how many failures there are. `last_id` and `last_error` are those of the newest.
    """

    failure_reason: str
    outcome: str | None
    provider: str | None
    phase: str | None
    reply_code: int | None
    number: int
    oldest: datetime
    newest: datetime
    last_id: int
    last_error: str | None


COUNTED = 100_000  # a dry run of a bulk retry counts no further
NO_FILTERS: Mapping[str, object] = MappingProxyType({})
# The last attempt, in the form that the filter `last_attempt` compares.
_LAST_ATTEMPT = """(SELECT ARRAY[a.outcome, a.provider, a.phase, a.reply_code::text] FROM (SELECT) AS one
    LEFT JOIN attempts AS a ON a.notification_id = notifications.id AND a.number = notifications.attempt_count)"""

_CONDITIONS = {
    "failure_reason": "failure_reason = %s",
    "last_outcome": "EXISTS (SELECT FROM attempts AS a WHERE a.notification_id = notifications.id"
    " AND a.number = notifications.attempt_count AND a.outcome = %s)",
    "type": "type = %s",
    # The second part finds addresses that were written differently, by the index of `mailboxes`.
    "recipient": "(recipient = %s OR mailboxes @> jsonb_build_array(%s::text) AND mailboxes ->> 0 = %s)",
    "priority": "split_part(lane, '.', -1) = %s",
    "tag": "tags @> jsonb_build_array(%s::text)",
    "created_from": "created_at >= %s",
    "created_to": "created_at < %s",
    "sandbox": "sandbox = %s",
    "last_attempt": f"{_LAST_ATTEMPT} = %s::text[]",
}


def matching(client_id: int, filters: Mapping[str, object], after: Position | None) -> tuple[str, list[object]]:
    """Return a condition and its parameters: failed, not expired, created after the position `after`.

    The condition is on a table or view called `notifications`. It does not exclude callbacks: use it on
    `client_view.VIEW`, or add `client_view.GUARD`.

    `filters`: failure_reason, last_outcome (of the last attempt), type, recipient, priority, tag, sandbox, created_from
    (inclusive), created_to (exclusive), last_attempt (outcome, provider, phase and code as texts, or None; give it
    only together with a range of time, because no index serves it).
    """
    conditions = [
        "status = 'failed'",
        "(expires_at IS NULL OR expires_at > now())",
        "client_id = %s",
    ]
    values: list[object] = [client_id]
    for name, value in filters.items():
        condition = _CONDITIONS[name]
        conditions.append(condition)
        values += [value] * condition.count("%s")
    if after is not None:
        conditions.append("(created_at, id) > (%s, %s)")
        values += after
    return " AND ".join(conditions), values


def count(client_id: int, filters: Mapping[str, object], after: Position | None, most: int) -> int:
    """Return how many notifications match; count no further than `most`."""
    condition, values = matching(client_id, filters, after)
    [(found,)] = rows(
        f"SELECT count(*) FROM (SELECT FROM {VIEW} AS notifications WHERE {condition} LIMIT %s) AS f", *values, most
    )
    return int(found)


def grouped(client_id: int, among: int, most: int, filters: Mapping[str, object] = NO_FILTERS) -> list[Group]:
    """Return up to `most` groups of a client's `among` newest failures, the largest first.

    `filters`: sandbox, created_from (inclusive), created_to (exclusive).
    """
    conditions = "".join(f" AND {_CONDITIONS[name]}" for name in filters)
    found = rows(
        f"""
        WITH newest AS MATERIALIZED (
            SELECT id, failure_reason, attempt_count, created_at, last_error FROM {VIEW} AS n
            WHERE client_id = %s AND status = 'failed'{conditions}
            ORDER BY created_at DESC, id DESC LIMIT %s
        )
        SELECT n.failure_reason, a.outcome, a.provider, a.phase, a.reply_code,
               count(*), min(n.created_at), max(n.created_at), max(n.id),
               (array_agg(n.last_error ORDER BY n.id DESC))[1]
        FROM newest AS n LEFT JOIN attempts AS a ON a.notification_id = n.id AND a.number = n.attempt_count
        GROUP BY 1, 2, 3, 4, 5 ORDER BY 6 DESC, 8 DESC LIMIT %s
        """,
        *(client_id, *filters.values(), among, most),
    )
    return [Group(*row) for row in found]
