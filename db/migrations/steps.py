"""What a migration is made of: `STEPS`, each done once, however often the migration has to be begun again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import NamedTuple

from db.database import rows
from db.migrations import indexes
from db.migrations.indexes import Index
from db.migrations.insistence import Limits, briefly


class Statement(NamedTuple):
    """SQL in a transaction of its own."""

    sql: str


class Repeated(NamedTuple):
    """A statement that changes a bounded number of rows, again and again until there is none left to change.

    `UPDATE ... WHERE id IN (SELECT id FROM ... WHERE note IS NULL LIMIT 1000)`.
    """

    sql: str


Step = Statement | Repeated | Index

# What of the migrations that are under way is done. Not by number: a mended step is another one.
_TABLE = "CREATE TABLE IF NOT EXISTS schema_steps (migration text, step text, PRIMARY KEY (migration, step))"


def mark(step: Step) -> str:
    """What a step is known by: a digest of all that it says."""
    return hashlib.sha256(repr(step).encode()).hexdigest()


def done(migration: str) -> set[str]:
    """Marks of the steps of a migration that are done, as long as it is not complete."""
    if rows("SELECT to_regclass('schema_steps')") == [(None,)]:
        return set()
    return {step for (step,) in rows("SELECT step FROM schema_steps WHERE migration = %s", migration)}


def perform(migration: str, steps: tuple[Step, ...], limits: Limits, complete: Callable[[], None]) -> None:
    """Do what is not done yet, and call `complete` in the transaction that forgets the steps."""
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
