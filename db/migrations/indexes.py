"""Indexes of large tables, built while everybody goes on reading and writing."""

from __future__ import annotations

from typing import NamedTuple

from peewee import OperationalError
from psycopg2.errors import DeadlockDetected

from db.database import Contended, qualified, rows
from db.migrations.insistence import Limits, briefly, insist
from runtime import logs

log = logs.get("migrate")


class Index(NamedTuple):
    """`columns` is what follows the table's name: `(client_id, id) WHERE status = 'pending'`.

    With blocks (partitions), each gets its own, named like the table's with the block's number: 40 characters at most.
    """

    name: str
    table: str
    columns: str
    unique: bool = False


def build(index: Index, limits: Limits) -> None:
    """CREATE INDEX CONCURRENTLY, for blocks too. What an earlier try has left is used, or removed if it is broken."""
    if rows("SELECT 1 FROM pg_partitioned_table WHERE partrelid = %s::regclass", index.table):
        _build_on_blocks(index, limits)
    else:
        _build(index, index.name, index.table, limits)


def _build_on_blocks(index: Index, limits: Limits) -> None:
    # Of no block yet, so it is there at once; new blocks get it from here on.
    briefly(limits, lambda: rows(f"{_create(index)} IF NOT EXISTS {index.name} ON ONLY {index.table} {index.columns}"))
    while block := _without(index):
        name = index.name + block.removeprefix(index.table)
        _build(index, name, block, limits)
        log.info("migration.index_built", index=name)
        briefly(limits, lambda name=name: rows(f"ALTER INDEX {index.name} ATTACH PARTITION {name}"))  # type: ignore[misc]


def _without(index: Index) -> str | None:
    """The name of a block that does not have it yet."""
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
            # Left by a build that was broken off: it is kept up at each write and used by nobody.
            rows(f"DROP INDEX CONCURRENTLY {qualified(name)}")
        try:
            rows(f"{_create(index)} CONCURRENTLY {name} ON {qualified(table)} {index.columns}")
        except OperationalError as error:
            if isinstance(getattr(error, "orig", None), DeadlockDetected):
                raise Contended("deadlock detected") from None
            raise

    # No lock_timeout: nobody queues behind what it waits for but those who change the table themselves.
    insist(limits, attempt)


def _create(index: Index) -> str:
    return "CREATE UNIQUE INDEX" if index.unique else "CREATE INDEX"
