"""Build indexes of large tables without blocking reads and writes."""

from __future__ import annotations

from typing import NamedTuple

from peewee import OperationalError
from psycopg2.errors import DeadlockDetected

from db.database import Contended, qualified, rows
from db.migrations.insistence import Limits, briefly, insist
from runtime import logs

log = logs.get("migrate")


class Index(NamedTuple):
    """An index to build. `columns` follows the table's name: `(client_id, id) WHERE status = 'pending'`.

    Each block (partition) of a table gets its own index. Its name is `name` with the number of the block, so `name` has
    40 characters at most.
    """

    name: str
    table: str
    columns: str
    unique: bool = False


def build(index: Index, limits: Limits) -> None:
    """Build an index concurrently, also on a table with blocks.

    An index that an earlier try left behind is used, or rebuilt if it is invalid.
    """
    if rows("SELECT 1 FROM pg_partitioned_table WHERE partrelid = %s::regclass", index.table):
        _build_on_blocks(index, limits)
    else:
        _build(index, index.name, index.table, limits)


def _build_on_blocks(index: Index, limits: Limits) -> None:
    # ON ONLY takes no time, because it builds nothing. New blocks get the index from here on.
    briefly(limits, lambda: rows(f"{_create(index)} IF NOT EXISTS {index.name} ON ONLY {index.table} {index.columns}"))
    while block := _without(index):
        name = index.name + block.removeprefix(index.table)
        _build(index, name, block, limits)
        log.info("migration.index_built", index=name)
        briefly(limits, lambda name=name: rows(f"ALTER INDEX {index.name} ATTACH PARTITION {name}"))  # type: ignore[misc]


def _without(index: Index) -> str | None:
    """Return the name of a block that does not have the index yet, or None."""
    found = rows(
        """
        SELECT c.relname FROM pg_inherits AS b JOIN pg_class AS c ON c.oid = b.inhrelid
        WHERE b.inhparent = %s::regclass
              AND NOT EXISTS (SELECT FROM pg_inherits AS i JOIN pg_index AS x ON x.indexrelid = i.inhrelid
                              WHERE i.inhparent = %s::regclass AND x.indrelid = b.inhrelid)
        ORDER BY c.oid LIMIT 1
        """,
        index.table,
        index.name,
    )
    return str(found[0][0]) if found else None


def _build(index: Index, name: str, table: str, limits: Limits) -> None:
    def attempt() -> None:
        found = rows("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", name)
        if found == [(True,)]:
            return
        if found:
            # An interrupted build left it: every write maintains it, and no query uses it.
            rows(f"DROP INDEX CONCURRENTLY {qualified(name)}")
        try:
            rows(f"{_create(index)} CONCURRENTLY {name} ON {qualified(table)} {index.columns}")
        except OperationalError as error:
            if isinstance(getattr(error, "orig", None), DeadlockDetected):
                raise Contended("deadlock detected") from None
            raise

    # No lock_timeout: while it waits, it blocks no session but those that change the table itself.
    insist(limits, attempt)


def _create(index: Index) -> str:
    return "CREATE UNIQUE INDEX" if index.unique else "CREATE INDEX"
