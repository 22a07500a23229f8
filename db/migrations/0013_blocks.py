"""Partition notifications and the tables that belong to them into blocks of ids, so that retention can drop old blocks.

Ids grow with time, so a block of ids is a span of time. The existing tables become the first blocks, without
bounds: no row is read or rewritten, however large the tables are.
"""

from __future__ import annotations

from typing import Any

# Each table with its column that holds the id of the notification.
TABLES = {"notifications": "id", "attempts": "notification_id", "attachments": "notification_id"}
TABLES |= {"events": "notification_id"}
# Tables with a sequence. Not as an identity, which PostgreSQL before 17 does not allow in a partitioned table.
NUMBERED = ("notifications", "events")

# In a partitioned table every unique key includes the partition key. The table has few rows.
EVENTS = "ALTER TABLE events DROP CONSTRAINT events_pkey, ADD PRIMARY KEY (notification_id, id)"

# One row: when blocks are to be looked after again, by whichever worker comes first.
TURNS = """
CREATE TABLE retention_turns (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    due_at   timestamptz NOT NULL DEFAULT now(),
    -- When the last sweep began that has looked at every row that may be past its time.
    swept_at timestamptz
);
INSERT INTO retention_turns DEFAULT VALUES;
"""


def up(_migrator: Any, db: Any) -> None:
    db.execute_sql(f"LOCK TABLE {', '.join(TABLES)} IN ACCESS EXCLUSIVE MODE")
    # Its argument is a row of the table, so it must be created again for the new table of that name.
    [(tell,)] = db.execute_sql("SELECT pg_get_functiondef('tell'::regproc)").fetchall()
    db.execute_sql("DROP FUNCTION tell")
    db.execute_sql(EVENTS)
    for table, key in TABLES.items():
        _partition(db, table, key)
    db.execute_sql(tell)
    db.execute_sql(TURNS)


def _partition(db: Any, table: str, key: str) -> None:
    drawn = _end_identity(db, table) if table in NUMBERED else None
    indexes = db.execute_sql(_INDEXES, (table,)).fetchall()
    db.execute_sql(f"ALTER TABLE {table} RENAME TO {table}_0")
    for name, *_ in indexes:
        # The new table's indexes get the names, which later migrations refer to.
        db.execute_sql(f"ALTER INDEX {name} RENAME TO {name}_0")
    db.execute_sql(f"CREATE TABLE {table} (LIKE {table}_0 INCLUDING ALL EXCLUDING INDEXES) PARTITION BY RANGE ({key})")
    for name, definition, constraint in indexes:
        db.execute_sql(f"ALTER TABLE {table} ADD CONSTRAINT {name} {constraint}" if constraint else definition)
    if drawn is not None:
        _draw(db, table, *drawn)
    # PostgreSQL matches the existing indexes and checks of the block, and does not read its rows.
    db.execute_sql(f"ALTER TABLE {table} ATTACH PARTITION {table}_0 FOR VALUES FROM (MINVALUE) TO (MAXVALUE)")


_INDEXES = """
SELECT c.relname, pg_get_indexdef(i.indexrelid), pg_get_constraintdef(k.oid)
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
     LEFT JOIN pg_constraint AS k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid
WHERE i.indrelid = %s::regclass ORDER BY c.relname
"""


def _end_identity(db: Any, table: str) -> tuple[int, bool]:
    """Remove the identity and its sequence. Return the last value of the sequence, and whether it was used."""
    [drawn] = db.execute_sql(f"SELECT last_value, is_called FROM {table}_id_seq").fetchall()
    db.execute_sql(f"ALTER TABLE {table} ALTER COLUMN id DROP IDENTITY")
    last, called = drawn
    return last, called


def _draw(db: Any, table: str, last: int, called: bool) -> None:
    db.execute_sql(f"CREATE SEQUENCE {table}_id_seq OWNED BY {table}.id")
    db.execute_sql("SELECT setval(%s, %s, %s)", (f"{table}_id_seq", last, called))
    db.execute_sql(f"ALTER TABLE {table} ALTER COLUMN id SET DEFAULT nextval('{table}_id_seq')")
