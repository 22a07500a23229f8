"""Blocks: the partitions of notifications, and of what belongs to them, by the id of the notification.

    [ 0 | 10,000,000 | 20,000,000 -> )

The newest block has no end, so that no id is ever without a place, whether anybody looks after blocks
or not. Once a tenth of it is used it is given one, well ahead of the ids in use, and a new block begins
there. Each of TABLES is cut at the same ids; another table with rows that go with a notification belongs among
them, made by its migration as 0013 makes these. A block of a table is named by the first id that it may
hold: `notifications_0`, `attempts_0`. Call within `connection()`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from db.database import hurrying, lasting, rows

# Each table with the column that says which notification a row is of, or is. In this order they are locked.
TABLES = {
    "notifications": "id",
    "attempts": "notification_id",
    "attachments": "notification_id",
    "events": "notification_id",
}
# Of a block, so much is used when it is given its end: little to look at then, and much room until there.
BEGUN = 0.1
# So much of a block is free at least. Between the first and the last lock of `grow`, a moment, ids past the end would
# be refused: as many would have to be drawn while somebody keeps us from the last one, a dump perhaps.
ROOM = 0.8
_ALL = ", ".join(f"ONLY {table}" for table in TABLES)
_BOUNDS = re.compile(r"FROM \((?:MINVALUE|'(-?\d+)')\) TO \((?:MAXVALUE|'(-?\d+)')\)")


class Block(NamedTuple):
    """Ids from `first` on, and below `end` (None: it is open). `size` in bytes and `rows`: about, of all its tables
    and of its notifications, as PostgreSQL knows them without counting.
    """

    first: int
    end: int | None
    rows: int
    size: int

    def named(self, table: str) -> str:
        """Its part of a table."""
        return f"{table}_{self.first}"


def listed() -> list[Block]:
    """All blocks, oldest first."""
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


def grow(size: int, lock_timeout: float, patience: float) -> Block | None:
    """Give the open block an end where it is time to, and begin another; returns the new one.

    What takes long (up to `patience` seconds: a look at the ids in use) holds up nobody. Each lock that would is
    waited for no longer than `lock_timeout` seconds, and held for some milliseconds.

    Raises Contended where a lock was not to be had: nothing is lost, and it is to be called again.
    """
    current = listed()[-1]
    [(last,)] = rows("SELECT last_value FROM notifications_id_seq")
    if last < current.first + size * BEGUN:
        return None
    end = current.first + size * (1 + int(last - current.first + size * ROOM) // size)
    with hurrying(lock_timeout):
        for table, key in TABLES.items():
            _bound(current.named(table), key, current.first, end)
    with lasting(patience):
        for table in TABLES:
            rows(f"ALTER TABLE {current.named(table)} VALIDATE CONSTRAINT block_bounds")
    with hurrying(lock_timeout):
        lock()
        for table in TABLES:
            _cut(table, current, end)
    return Block(end, None, 0, 0)


def drop(block: Block) -> None:
    """Everything of it, at once. Within `hurrying`, after `lock`."""
    for table in TABLES:
        rows(f"DROP TABLE {block.named(table)}")


def lock() -> None:
    """From now until the end of the transaction nobody reads or writes any of the tables."""
    rows(f"LOCK TABLE {_ALL} IN ACCESS EXCLUSIVE MODE")


def _bounds(expression: str) -> tuple[int, int | None]:
    found = _BOUNDS.search(expression)
    assert found is not None, expression  # noqa: S101 - nobody else makes blocks
    first, end = found.groups()
    return int(first or 0), None if end is None else int(end)


def _bound(part: str, key: str, first: int, end: int) -> None:
    """Proof, once it is validated, that the rows are within the block: it is attached without a look at them then."""
    # The first one has whatever is below its end.
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
