"""The steps of a migration. Each is done once, even if the migration is interrupted and started again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import NamedTuple

from db.database import rows
from db.migrations import indexes
from db.migrations.indexes import Index
from db.migrations.insistence import Limits, briefly


class Statement(NamedTuple):
    """An SQL statement in a transaction of its own."""

    sql: str


class Repeated(NamedTuple):
    """A statement that changes a bounded number of rows, repeated until none is left to change.

    Example: `UPDATE ... WHERE id IN (SELECT id FROM ... WHERE note IS NULL LIMIT 1000)`.
    """

    sql: str


Step = Statement | Repeated | Index

# The completed steps of unfinished migrations. A step is known by its digest and not by its number, because a corrected
# step must run again.
_TABLE = "CREATE TABLE IF NOT EXISTS schema_steps (migration text, step text, PRIMARY KEY (migration, step))"


def mark(step: Step) -> str:
    """Return the digest of a step, by which it is known."""
    return hashlib.sha256(repr(step).encode()).hexdigest()


def done(migration: str) -> set[str]:
    """Return the digests of the completed steps of a migration; none once the whole migration is complete."""
    if rows("SELECT to_regclass('schema_steps')") == [(None,)]:
        return set()
    return {step for (step,) in rows("SELECT step FROM schema_steps WHERE migration = %s", migration)}


def perform(migration: str, steps: tuple[Step, ...], limits: Limits, complete: Callable[[], None]) -> None:
    """Perform the remaining steps, and call `complete` in the transaction that deletes the digests."""
    briefly(limits, lambda: rows(_TABLE))
    already = done(migration)
    for step in steps:
        if mark(step) not in already:
            _perform(migration, step, limits)

    def end() -> None:
        rows("DELETE FROM schema_steps WHERE migration = %s", migration)
        complete()

    briefly(limits, end)


def _perform(migration: str, step: Step, limits: Limits) -> None:
    def record() -> None:
        rows("INSERT INTO schema_steps (migration, step) VALUES (%s, %s)", migration, mark(step))

    if isinstance(step, Statement):
        _state(step, record, limits)
        return
    if isinstance(step, Repeated):
        while briefly(limits, lambda: _changed(step.sql)):
            pass
    else:
        indexes.build(step, limits)
    briefly(limits, record)


def _state(statement: Statement, record: Callable[[], None], limits: Limits) -> None:
    def both() -> None:
        rows(statement.sql)
        record()

    briefly(limits, both)


def _changed(sql: str) -> int:
    [(count,)] = rows(f"WITH changed AS ({sql} RETURNING 1) SELECT count(*) FROM changed")
    return int(count)
