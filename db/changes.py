"""Changes of notifications of clients that listen, in the order in which they were made. Call within `connection()`.

A change gets its number while its transaction runs, so a higher number may be seen before a lower one.
Read is only what is decided: up to a number below which no transaction can still bring anything. Whoever
draws a number holds a lock on the table by then, and until it has ended. So: look how far numbers are
drawn, then who holds that lock; when those have ended, all up to there is decided. Nobody waits for this,
and transactions that write no changes are none of its business, however long they take.

Of one notification each change waits for the one before to be committed, on the lock of its row: the order
of numbers is the order in which things happened to it. That of transaction ids would not be.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple

from db.client_view import VIEW
from db.database import rows
from db.session import SCHEMA

# Any constant will do, as long as no other advisory lock of a schema has it.
LOCK = 7_021_971

_OF_CHANGE = ("id", "client_id", "sandbox", "notification_id", "name", "status", "at")
_COUNTED = ("attempt_count", "retry_count", "failure_reason", "next_attempt_at")
# Never changed once accepted; null where the notification is deleted by now.
_OF_NOTIFICATION = ("type", "recipient", "tags", "metadata", "lane", "created_at")
_SHOWN = ", ".join([*(f"c.{n}" for n in (*_OF_CHANGE, *_COUNTED)), *(f"n.{n}" for n in _OF_NOTIFICATION)])
# What was said of the attempt that led here.
_LAST_ERROR = "CASE WHEN c.status IN ('pending', 'failed') THEN a.text END"
_SELECTED = f"""SELECT {_SHOWN}, {_LAST_ERROR}
           FROM changes AS c LEFT JOIN {VIEW} AS n ON n.id = c.notification_id
                LEFT JOIN attempts AS a ON a.notification_id = c.notification_id AND a.number = c.attempt_count"""


class Change(NamedTuple):
    """One change: what the notification became, and what it was all the time."""

    id: int
    client_id: int
    sandbox: bool
    notification_id: int
    name: str
    status: str
    at: datetime
    attempt_count: int
    retry_count: int
    failure_reason: str | None
    next_attempt_at: datetime | None
    type: str | None
    recipient: str | None
    tags: list[str] | None
    metadata: dict[str, Any] | None
    lane: str | None
    created_at: datetime | None
    last_error: str | None


def drawn() -> int:
    """The highest number that anybody has drawn; 0 before the first."""
    [(last,)] = rows("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM changes_id_seq")
    return int(last)


def writers() -> frozenset[str]:
    """The transactions that may have drawn numbers and have not ended. To be asked after `drawn`."""
    found = rows(
        """
        SELECT virtualtransaction FROM pg_locks
        WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND relation = 'changes'::regclass
              AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        """
    )
    return frozenset(name for (name,) in found)


def read(clients: Collection[int], after: int, until: int, most: int) -> list[Change]:
    """Up to `most` changes of these clients with numbers above `after`, up to `until`, in order."""
    found = rows(
        f"{_SELECTED} WHERE c.id > %s AND c.id <= %s AND c.client_id = ANY(%s) ORDER BY c.id LIMIT %s",
        *(after, until, list(clients), most),
    )
    return [Change(*row) for row in found]


def forget(age: float, most: int) -> int:
    """Delete up to `most` that are older than `age` seconds, unless another is at it; returns how many.

    Each client's `since` moves on with it, so that whoever comes back too late is told so.
    """
    [(count,)] = rows(
        f"""
        WITH alone AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(%s, {SCHEMA}) AS mine
        ), old AS MATERIALIZED (
            SELECT id, at FROM changes WHERE (SELECT mine FROM alone) ORDER BY id LIMIT %s
        ), gone AS (
            DELETE FROM changes WHERE id IN (SELECT id FROM old WHERE at < now() - %s * interval '1 second')
            RETURNING client_id, id
        ), last AS (
            SELECT client_id, max(id) AS id FROM gone GROUP BY client_id
        ), held AS MATERIALIZED (
            SELECT client_id FROM listeners WHERE client_id IN (SELECT client_id FROM last)
            ORDER BY client_id FOR UPDATE
        ), moved AS (
            UPDATE listeners AS l SET since = last.id
            FROM held JOIN last USING (client_id) WHERE l.client_id = held.client_id AND l.since < last.id
        )
        SELECT count(*) FROM gone
        """,
        *(LOCK, most, age),
    )
    return int(count)
