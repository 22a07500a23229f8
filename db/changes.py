"""Changes of notifications, for clients that listen to a stream. Call within `connection()`.

A change draws its number while its transaction runs, so a higher number can become visible before a lower one.
A reader must stop at a number below which no running transaction can still commit a change. A transaction that draws
a number holds a lock on the table from then until it ends. So ask for the highest number that was drawn
(`drawn`), then for the transactions that hold the lock (`writers`); once those have ended, all changes up to that
number are visible. No transaction waits for this, and transactions that write no changes do not delay it.

A change of a notification waits on the lock of its row until the change before is committed. So the order
of numbers is the order in which things happened to a notification, which the order of transaction ids is not.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple

from db.client_view import VIEW
from db.database import rows
from db.session import SCHEMA

# Any constant will do that no other advisory lock of a schema has.
LOCK = 7_021_971

_OF_CHANGE = ("id", "client_id", "sandbox", "notification_id", "name", "status", "at")
_COUNTED = ("attempt_count", "retry_count", "failure_reason", "next_attempt_at")
# These never change once the notification was accepted; they are null if it was deleted.
_OF_NOTIFICATION = ("n.type", "n.recipient", "n.tags", "n.metadata", "split_part(n.lane, '.', -1)", "n.created_at")
_SHOWN = ", ".join([*(f"c.{n}" for n in (*_OF_CHANGE, *_COUNTED)), *_OF_NOTIFICATION])
# The text of the attempt that led to the change.
_LAST_ERROR = "CASE WHEN c.status IN ('pending', 'failed') THEN a.text END"
_SELECTED = f"""SELECT {_SHOWN}, {_LAST_ERROR}
           FROM changes AS c LEFT JOIN {VIEW} AS n ON n.id = c.notification_id
                LEFT JOIN attempts AS a ON a.notification_id = c.notification_id AND a.number = c.attempt_count"""


class Change(NamedTuple):
    """One change, with the state after it and the constant fields of the notification."""

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
    priority: str | None
    created_at: datetime | None
    last_error: str | None


def drawn() -> int:
    """Return the highest number that was drawn; 0 before the first."""
    [(last,)] = rows("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM changes_id_seq")
    return int(last)


def writers() -> frozenset[str]:
    """Return the running transactions that may have drawn numbers. Ask after `drawn`."""
    found = rows(
        """
        SELECT virtualtransaction FROM pg_locks
        WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND relation = 'changes'::regclass
              AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        """
    )
    return frozenset(name for (name,) in found)


def read(clients: Collection[int], after: int, until: int, most: int) -> list[Change]:
    """Return up to `most` changes of these clients with numbers above `after` and up to `until`, in order."""
    found = rows(
        f"{_SELECTED} WHERE c.id > %s AND c.id <= %s AND c.client_id = ANY(%s) ORDER BY c.id LIMIT %s",
        *(after, until, list(clients), most),
    )
    return [Change(*row) for row in found]


def forget(age: float, most: int) -> int:
    """Delete up to `most` changes older than `age` seconds, and return how many; none if another process does it.

    The `since` of each client moves on, so that a listener that returns too late learns that changes are missing.
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
