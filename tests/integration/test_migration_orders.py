"""An upgrade that skips versions runs all `before` migrations first, then all `after` ones, with the same result."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cli.servers.postgres import Postgres
from db import migrations
from db.database import bind, database, rows
from tests.embedded import empty_database
from tests.environment import configured

Shape = list[list[tuple[Any, ...]]]
OURS = "relnamespace = 'public'::regnamespace AND relname NOT LIKE 'schema_%%'"
# Names and types, not numbers: those say in which order things came.
CATALOG = (
    "SELECT relname, attname, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid)"
    " FROM pg_class AS c JOIN pg_attribute ON attrelid = c.oid AND attnum > 0 AND NOT attisdropped"
    f" LEFT JOIN pg_attrdef ON adrelid = c.oid AND adnum = attnum WHERE {OURS} AND relkind IN ('r', 'p') ORDER BY 1, 2",
    "SELECT relname, pg_get_indexdef(indexrelid), indisvalid FROM pg_index JOIN pg_class ON oid = indexrelid"
    f" WHERE {OURS} ORDER BY 1",
    "SELECT relname, conname, pg_get_constraintdef(k.oid), convalidated FROM pg_constraint AS k"
    f" JOIN pg_class AS c ON c.oid = conrelid WHERE {OURS} ORDER BY 1, 2",
    "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1",
    "SELECT tgname, pg_get_triggerdef(t.oid) FROM pg_trigger AS t WHERE NOT tgisinternal ORDER BY 1, 2",
)
NOTE = 'from db.migrations.steps import Statement\nSTEPS = (Statement("ALTER TABLE pauses {}"),)\n'


@contextmanager
def empty(server: Postgres, name: str) -> Iterator[None]:
    """A database without tables, and this thread's connection to it."""
    with empty_database(server, name) as url, configured(database_url=url) as settings:
        bind(settings.database)
        try:
            yield
        finally:
            database.close()


def shape() -> Shape:
    """Return the schema of the database, as its catalog shows it."""
    database.connect(reuse_if_open=True)
    return [rows(question) for question in CATALOG]


def after_another(server: Postgres) -> Shape:
    with empty(server, "one_after_another"):
        migrations.migrate()
        return shape()


def befores_first(server: Postgres, directory: Path, monkeypatch: pytest.MonkeyPatch) -> Shape:
    """Return the schema of a system that had only the first migration when it was upgraded."""
    first = directory / "first"
    first.mkdir()
    name = min(path.name for path in migrations.DIRECTORY.glob("[0-9]*.py"))
    shutil.copy(migrations.DIRECTORY / name, first)
    with empty(server, "befores_first"):
        with monkeypatch.context() as patch:
            patch.setattr(migrations, "DIRECTORY", first)
            migrations.migrate()
        migrations.migrate()
        migrations.finish()
        assert migrations.pending() == []
        return shape()


def test_every_permitted_order_of_migrations_gives_the_same_schema(
    postgres_server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert befores_first(postgres_server, tmp_path, monkeypatch) == after_another(postgres_server)


@pytest.mark.parametrize(
    ("last", "alike"), [("ADD COLUMN another text", True), ("ALTER COLUMN note SET DEFAULT 'x'", False)]
)
def test_a_before_migration_that_needs_an_earlier_after_migration_is_found(
    postgres_server: Postgres,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    last: str,
    alike: bool,
) -> None:
    future = tmp_path / "future"
    shutil.copytree(migrations.DIRECTORY, future, ignore=shutil.ignore_patterns("__pycache__"))
    (future / "9001_note.py").write_text(NOTE.format("ADD COLUMN note text"))
    (future / "9002_note_after.py").write_text(NOTE.format("ALTER COLUMN note SET DEFAULT 'y'"))
    (future / "9003_last.py").write_text(NOTE.format(last))
    monkeypatch.setattr(migrations, "DIRECTORY", future)
    assert (befores_first(postgres_server, tmp_path, monkeypatch) == after_another(postgres_server)) is alike
