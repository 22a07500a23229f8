"""Blocks: the partitions of `notifications` and of the tables that belong to it, by the id of the notification.

    [ 0 | 10,000,000 | 20,000,000 -> )

The newest block has no upper bound, so every id has a place even if no process maintains the blocks. Once a tenth of
it is used, it gets a bound well ahead of the ids in use, and a new block begins there. All TABLES are cut at the
same ids. A new table whose rows go with a notification belongs in TABLES; its migration makes it as 0013 makes
these. A block of a table is named after the first id that it may hold: `notifications_0`, `attempts_0`. Call
within `connection()`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from db.database import hurrying, lasting, rows

# Each table with its column that holds the id of the notification, in the order in which they are locked.
TABLES = {
    "notifications": "id",
    "attempts": "notification_id",
    "attachments": "notification_id",
    "events": "notification_id",
}
# Used share of a block at which it gets its bound: few rows to check then, and many free ids below the bound.
BEGUN = 0.1
# Share of a block that stays free at least. Between the first and the last lock of `grow`, ids above the bound are
# refused. Another session, for example a dump, may delay the last lock while ids are drawn.
ROOM = 0.8
_ALL = ", ".join(f"ONLY {table}" for table in TABLES)
_BOUNDS = re.compile(r"FROM \((?:MINVALUE|'(-?\d+)')\) TO \((?:MAXVALUE|'(-?\d+)')\)")


class Block(NamedTuple):
    """The ids from `first` on, below `end` (None: no bound).

    `rows` (notifications) and `size` (bytes, of all tables) are PostgreSQL's estimates.
    """

    first: int
    end: int | None
    rows: int
    size: int

    def named(self, table: str) -> str:
        """Return the name of this block's partition of a table."""
        return f"{table}_{self.first}"


def listed() -> list[Block]:
    """Return all blocks, oldest first."""
    found = rows(
        """
        SELECT pg_get_expr(c.relpartbound, c.oid), greatest(0, c.reltuples)::bigint,
               (SELECT sum(pg_total_relation_size(part))::bigint
                FROM unnest(%s::text[]) AS name, to_regclass(replace(c.relname, 'notifications', name)) AS part)
        FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'notifications'::regclass
        """,
        list(TABLES),
    )
    return sorted(Block(*_bounds(bounds), count, size) for bounds, count, size in found)


def grow(size: int, lock_timeout: float, time_limit: float) -> Block | None:
    """If it is time to, give the open block a bound and begin a new block. Return the new block.

    The long step, a check of the ids in use, takes up to `time_limit` seconds and blocks no other session. Locks that
    would block others are waited for no longer than `lock_timeout` seconds, and held for some milliseconds.

    Raises Contended if a lock could not be taken. Nothing is lost: call it again later.
    """
    current = listed()[-1]
    [(last,)] = rows("SELECT last_value FROM notifications_id_seq")
    if last < current.first + size * BEGUN:
        return None
    end = current.first + size * (1 + int(last - current.first + size * ROOM) // size)
    with hurrying(lock_timeout):
        for table, key in TABLES.items():
            _bound(current.named(table), key, current.first, end)
    with lasting(time_limit):
        for table in TABLES:
            rows(f"ALTER TABLE {current.named(table)} VALIDATE CONSTRAINT block_bounds")
    with hurrying(lock_timeout):
        lock()
        for table in TABLES:
            _cut(table, current, end)
    return Block(end, None, 0, 0)


def drop(block: Block) -> None:
    """Drop a block with all its rows. Call within `hurrying`, after `lock`."""
    for table in TABLES:
        rows(f"DROP TABLE {block.named(table)}")


def lock() -> None:
    """Keep other sessions from reading and writing all TABLES until the end of the transaction."""
    rows(f"LOCK TABLE {_ALL} IN ACCESS EXCLUSIVE MODE")


def _bounds(expression: str) -> tuple[int, int | None]:
    found = _BOUNDS.search(expression)
    assert found is not None, expression  # noqa: S101 - only this module makes blocks
    first, end = found.groups()
    return int(first or 0), None if end is None else int(end)


def _bound(part: str, key: str, first: int, end: int) -> None:
    """Add a constraint that proves, once it is validated, that all rows are within the block.

    With it PostgreSQL attaches the partition without reading its rows.
    """
    # The first block has no lower bound.
    low = f"{key} >= {first} AND " if first else ""
    rows(
        f"ALTER TABLE {part} DROP CONSTRAINT IF EXISTS block_bounds,"
        f" ADD CONSTRAINT block_bounds CHECK ({low}{key} < {end}) NOT VALID"
    )


def _cut(table: str, current: Block, end: int) -> None:
    part, low = current.named(table), current.first or "MINVALUE"
    rows(f"ALTER TABLE {table} DETACH PARTITION {part}")
    rows(f"ALTER TABLE {table} ATTACH PARTITION {part} FOR VALUES FROM ({low}) TO ({end})")
    rows(f"ALTER TABLE {part} DROP CONSTRAINT block_bounds")
    rows(f"CREATE TABLE {table}_{end} (LIKE {table} INCLUDING ALL)")
    rows(f"ALTER TABLE {table} ATTACH PARTITION {table}_{end} FOR VALUES FROM ({end}) TO (MAXVALUE)")
