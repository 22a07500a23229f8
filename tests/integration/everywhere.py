"""Search of every text column of the database, for what an erasure has left."""

from __future__ import annotations

from db.database import rows

_COLUMNS = """
SELECT c.relname, a.attname FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
     JOIN pg_type AS t ON t.oid = a.atttypid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
      AND (t.typname IN ('text', 'json', 'jsonb', 'bytea', 'varchar') OR t.typcategory = 'A')
ORDER BY 1, 2
"""


def columns() -> list[tuple[str, str]]:
    """Of all tables, their partitions one by one."""
    return [(table, column) for table, column in rows(_COLUMNS)]


def holding(needle: str) -> set[str]:
    """The columns, as table.column, in which this stands somewhere: as text, or as bytes."""
    found = set()
    for table, column in columns():
        text = f"encode({column}, 'escape')" if _binary(table, column) else f"{column}::text"
        if rows(f"SELECT true FROM {table} WHERE position(lower(%s) IN lower({text})) > 0 LIMIT 1", needle):
            found.add(f"{table}.{column}")
    return found


def _binary(table: str, column: str) -> bool:
    [(kind,)] = rows(
        "SELECT t.typname FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid"
        " WHERE a.attrelid = %s::regclass AND a.attname = %s",
        *(table, column),
    )
    return bool(kind == "bytea")
