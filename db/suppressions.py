"""The suppression list of each client: addresses to which nothing is sent. Call within `connection()`.

Addresses are as `mailboxes` of a notification has them: normalised by the caller. An entry whose time is
over counts for nothing, and is shown until it is removed or replaced. Of an address that was erased the
list keeps the digest alone (`erased`), under which the address is found and refused as before.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from db.client_view import VIEW
from db.database import database, rows

Row = dict[str, Any]
UNBOUNDED = 2**63 - 1  # bigint
_COLUMNS = ("address", "reason", "source", "created_at", "expires_at")
_SELECTED = ", ".join(_COLUMNS)
# Asked once a statement, whatever its rows: where nobody was erased no digest is made.
# In the order of the index of those: without statistics PostgreSQL expects to find one soon and reads the list for it.
_ANY_ERASED = "(SELECT true FROM suppressions WHERE erased ORDER BY client_id LIMIT 1)"


class Entry(NamedTuple):
    """One address; `expires_at` None means for ever."""

    address: str
    reason: str = "manual"
    source: str | None = None
    expires_at: datetime | None = None


class Position(NamedTuple):
    """Where a page of the list ended."""

    created_at: datetime
    address: str


def listed(row: str) -> str:
    """SQL for a join: `listed.error` says which of those that the row is for is on the list; no row if none is."""
    written = digest(f"{row}.client_id", f"{row}.recipient")
    # One key at a time, which LIMIT keeps so: for several, a plan made while the list is empty reads the whole list.
    return f"""LATERAL (
            SELECT CASE WHEN s.erased THEN 'a recipient' ELSE s.address END || ' is on the suppression list: '
                   || s.reason AS error
            FROM (SELECT unnest(CASE WHEN {row}.mailboxes IS NULL
                                THEN CASE WHEN {_ANY_ERASED} THEN ARRAY[{row}.recipient, {written}]
                                          ELSE ARRAY[{row}.recipient] END
                                WHEN {_ANY_ERASED} THEN also_erased({row}.client_id, {row}.mailboxes)
                                ELSE ARRAY(SELECT jsonb_array_elements_text({row}.mailboxes)) END) AS address
                 ) AS wanted CROSS JOIN LATERAL (
                SELECT * FROM suppressions AS s
                WHERE s.client_id = {row}.client_id AND s.address = wanted.address
                      AND (s.expires_at IS NULL OR s.expires_at > now())
                LIMIT 1
            ) AS s
            LIMIT 1
        ) AS listed"""


def digest(client_id: str, address: str) -> str:
    """As SQL: what the list keeps of an address that was erased. The client is in it, so that lists do not compare."""
    return f"'sha256:' || encode(sha256(convert_to({client_id}::text || ':' || {address}, 'UTF8')), 'hex')"


def recipient(row: str) -> str:
    """As SQL: whom the row is for, copies aside, as the list has them."""
    return f"coalesce({row}.mailboxes ->> 0, {row}.recipient)"


class TooMany(Exception):
    """The client has put as many addresses on its list as it may; nothing happened."""


def add(client_id: int, entry: Entry, most: int = UNBOUNDED) -> tuple[Row, bool]:
    """The entry as it is now, and whether the address was not on the list before; else it replaces what was.

    Raises:
        TooMany: the client has put `most` there already, and this is another one.
    """
    with database.atomic():
        [(*values, new)] = rows(
            f"""
            INSERT INTO suppressions AS s (client_id, address, reason, source, expires_at, counted)
            VALUES (%s, %s, %s, %s, %s, true)
            ON CONFLICT (client_id, address) DO UPDATE
            SET reason = excluded.reason, source = excluded.source, created_at = now(),
                expires_at = excluded.expires_at
            RETURNING {_SELECTED}, xmax = 0
            """,
            client_id,
            *entry,
        )
        # The count comes after the row, here and where one is removed, or two would wait for each other.
        if new and not _counted(client_id, most):
            raise TooMany
    return dict(zip(_COLUMNS, values, strict=True)), bool(new)


def _counted(client_id: int, most: int) -> bool:
    """Count one more, unless there are `most`."""
    return bool(
        rows(
            """
            INSERT INTO suppression_counts AS c (client_id, counted) VALUES (%s, 1)
            ON CONFLICT (client_id) DO UPDATE SET counted = c.counted + 1 WHERE c.counted < %s
            RETURNING counted
            """,
            client_id,
            most,
        )
    )


def unsubscribe(notification: int) -> bool:
    """Put the recipient of a notification on its client's list; False where there is no such notification.

    Who is on the list for ever stays as they are: a second click changes nothing. A notification of the sandbox
    went to nobody, so its link puts nobody on the list that live mail is checked against.
    """
    return bool(
        rows(
            f"""
            WITH asked AS (
                SELECT client_id, {recipient("n")} AS address, id, sandbox FROM {VIEW} AS n
                WHERE id = %s AND erased_at IS NULL
            ), added AS (
                INSERT INTO suppressions AS s (client_id, address, reason, source)
                SELECT client_id, address, 'unsubscribed', 'one click, notification ' || id FROM asked
                WHERE NOT sandbox
                ON CONFLICT (client_id, address) DO UPDATE
                SET reason = excluded.reason, source = excluded.source, created_at = now(), expires_at = NULL
                WHERE s.expires_at IS NOT NULL
            )
            SELECT id FROM asked
            """,
            notification,
        )
    )


def find(client_id: int, address: str) -> Row | None:
    """One entry."""
    found = rows(f"SELECT {_SELECTED} FROM suppressions WHERE {_OF_ADDRESS}", *(client_id, address) * 2)
    return next(iter(_rows(found)), None)


def remove(client_id: int, address: str) -> bool:
    """From now on it is sent to again; what has failed stays failed."""
    return bool(rows(f"DELETE FROM suppressions WHERE {_OF_ADDRESS} RETURNING address", *(client_id, address) * 2))


def newest(client_id: int, filters: Mapping[str, Any], after: Position | None, limit: int) -> list[Row]:
    """Up to `limit` entries, newest first, that came before `after`.

    `filters`: reason, created_from (inclusive), created_to (exclusive).
    """
    conditions = [("client_id = %s", client_id), *((_CONDITIONS[name], value) for name, value in filters.items())]
    if after is not None:
        conditions.append(("(created_at, address) < %s", tuple(after)))
    found = rows(
        f"SELECT {_SELECTED} FROM suppressions WHERE {' AND '.join(sql for sql, _ in conditions)}"
        " ORDER BY created_at DESC, address DESC LIMIT %s",
        *(value for _, value in conditions),
        limit,
    )
    return _rows(found)


def in_order(client_id: int, after: str, limit: int) -> list[Row]:
    """Up to `limit` entries in the order of their addresses, behind `after`."""
    sql = f"SELECT {_SELECTED} FROM suppressions WHERE client_id = %s AND address > %s ORDER BY address LIMIT %s"
    return _rows(rows(sql, client_id, after, limit))


def _rows(found: list[tuple[Any, ...]]) -> list[Row]:
    return [dict(zip(_COLUMNS, row, strict=True)) for row in found]


# The entry of an address, which may be its digest. Parameters: client, address, client, address.
_OF_ADDRESS = f"client_id = %s AND address IN (%s, {digest('%s', '%s::text')})"
_CONDITIONS = {
    "reason": "reason = %s",
    "created_from": "created_at >= %s",
    "created_to": "created_at < %s",
}
