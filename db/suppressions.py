"""The suppression list of each client: addresses to which nothing is sent. Call within `connection()`.

Callers give normalised addresses, as in `mailboxes` of a notification. An entry that has expired has no effect, but is
shown until it is removed or replaced. Of an erased address the list keeps only a digest (`erased`), by which the
address is still found and refused.
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
# PostgreSQL evaluates this once a statement, so that no digests are computed if no address was erased. The ORDER BY is
# that of the index of erased addresses: without statistics PostgreSQL expects a match soon and would read the list.
_ANY_ERASED = "(SELECT true FROM suppressions WHERE erased ORDER BY client_id LIMIT 1)"


class Entry(NamedTuple):
    """An address to suppress; without `expires_at`, for ever."""

    address: str
    reason: str = "manual"
    source: str | None = None
    expires_at: datetime | None = None


class Position(NamedTuple):
    """The place where a page of the list ended."""

    created_at: datetime
    address: str


def listed(row: str) -> str:
    """Return SQL for a join. `listed.error` names the row's recipient that is suppressed; no row if none is."""
    written = digest(f"{row}.client_id", f"{row}.recipient")
    # LIMIT makes the plan look up one key at a time. A plan for several keys, made while the list is empty, would read
    # the whole list.
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
    """Return SQL for the digest of an erased address. It includes the client, so lists cannot be compared."""
    return f"'sha256:' || encode(sha256(convert_to({client_id}::text || ':' || {address}, 'UTF8')), 'hex')"


def recipient(row: str) -> str:
    """Return SQL for the normalised main recipient of a row, without copies."""
    return f"coalesce({row}.mailboxes ->> 0, {row}.recipient)"


class TooMany(Exception):
    """The client's list is full; nothing happened."""


def add(client_id: int, entry: Entry, most: int = UNBOUNDED) -> tuple[Row, bool]:
    """Add or replace an entry. Return it, and whether the address is new on the list.

    Raises:
        TooMany: the address is new, and the client has added `most` already.
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
        # The count is locked after the row, here and where an entry is removed, so that two never deadlock.
        if new and not _counted(client_id, most):
            raise TooMany
    return dict(zip(_COLUMNS, values, strict=True)), bool(new)


def _counted(client_id: int, most: int) -> bool:
    """Count one more address and return True, unless there are `most`."""
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
    """Suppress the recipient of a notification after a click; return False if there is no such notification.

    An entry without expiry stays as it is, so a second click changes nothing. A sandbox notification was sent to
    nobody, so its link adds no entry: the list also applies to live mail.
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
    """Return the entry of an address, or None."""
    found = rows(f"SELECT {_SELECTED} FROM suppressions WHERE {_OF_ADDRESS}", *(client_id, address) * 2)
    return next(iter(_rows(found)), None)


def remove(client_id: int, address: str) -> bool:
    """Remove an address from the list and return whether it was there. What has failed stays failed."""
    return bool(rows(f"DELETE FROM suppressions WHERE {_OF_ADDRESS} RETURNING address", *(client_id, address) * 2))


def hide(client_id: int, address: str) -> bool:
    """Replace an address by its digest, which still matches. Return whether it is on the list.

    A phone number may be there for single senders too, as `+41791234567 from acme`.
    """
    pairs = rows(
        "SELECT address FROM suppressions WHERE client_id = %s AND starts_with(address, %s) ORDER BY address",
        *(client_id, f"{address} from "),
    )
    hidden = [_hide(client_id, one) for one in (address, *(pair for (pair,) in pairs))]
    return any(hidden)


def _hide(client_id: int, address: str) -> bool:
    hidden = f"({digest('%s', '%s::text')})"
    plain = (client_id, address)
    if rows("SELECT true FROM suppressions WHERE client_id = %s AND address = %s FOR UPDATE", *plain):
        rows(f"DELETE FROM suppressions WHERE client_id = %s AND address = {hidden}", client_id, *plain)
    rows(
        f"UPDATE suppressions SET address = {hidden}, source = NULL, erased = true"
        " WHERE client_id = %s AND address = %s",
        *(*plain, *plain),
    )
    return bool(rows(f"SELECT true FROM suppressions WHERE client_id = %s AND address = {hidden}", client_id, *plain))


def newest(client_id: int, filters: Mapping[str, Any], after: Position | None, limit: int) -> list[Row]:
    """Return up to `limit` entries, newest first, from behind `after`.

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
    """Return up to `limit` entries in the order of their addresses, from behind the address `after`."""
    sql = f"SELECT {_SELECTED} FROM suppressions WHERE client_id = %s AND address > %s ORDER BY address LIMIT %s"
    return _rows(rows(sql, client_id, after, limit))


def _rows(found: list[tuple[Any, ...]]) -> list[Row]:
    return [dict(zip(_COLUMNS, row, strict=True)) for row in found]


# For WHERE: the entry of an address or of its digest. Parameters: client, address, client, address.
_OF_ADDRESS = f"client_id = %s AND address IN (%s, {digest('%s', '%s::text')})"
_CONDITIONS = {
    "reason": "reason = %s",
    "created_from": "created_at >= %s",
    "created_to": "created_at < %s",
}
