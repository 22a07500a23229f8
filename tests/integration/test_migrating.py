"""Migrations of a running system: locks, steps, interrupted indexes, two at once."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from cli.servers.postgres import Postgres
from db import blocks, migrations
from db.database import Contended, Unacceptable, bind, database, rows
from db.migrations import LIMITS
from db.migrations.insistence import Limits
from settings import Settings, load
from tests.embedded import empty_database
from tests.eventually import eventually
from tests.integration.ends import SIZE, ended, grown

pytestmark = pytest.mark.usefixtures("own_store")
Write = Callable[..., None]
HEAD = '"""Test."""\nfrom db.migrations.steps import Index, Repeated, Statement\nSTEPS = (\n'
NOTE = 'Statement("ALTER TABLE notifications ADD COLUMN note text"),'
INDEX = 'Index("notifications_note", "notifications", "(note) WHERE note IS NOT NULL"),'
INSERT = "INSERT INTO notifications (type, recipient, subject, message) VALUES ('email', 'a', '', '')"
WAITING = "SELECT 1 FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'"
BUILDING = "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'CREATE INDEX CONCURRENTLY%%'"


@pytest.fixture
def future(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes migrations of a version to come, by name and steps."""
    shutil.copytree(migrations.DIRECTORY, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(migrations, "DIRECTORY", tmp_path)

    def write(name: str, *steps: str) -> None:
        (tmp_path / f"{name}.py").write_text(HEAD + "\n".join(steps) + "\n)\n")

    return write


@contextmanager
def other() -> Iterator[Any]:
    """A connection of somebody else, each statement by itself unless it says BEGIN."""
    with closing(psycopg2.connect(load().database.url)) as conn:
        conn.autocommit = True
        yield conn.cursor()


@contextmanager
def _beside(action: Callable[[], object]) -> Iterator[None]:
    """Do it in another thread; waits for it at the end of the block, if that ends well."""
    thread = threading.Thread(target=action)
    thread.start()
    yield
    thread.join(60)
    assert not thread.is_alive()


def migrate(limits: Limits = LIMITS) -> list[str]:
    """`migrate` closes the connection; the test goes on with a new one."""
    try:
        return migrations.migrate(limits)
    finally:
        database.connect(reuse_if_open=True)


def finish() -> list[str]:
    try:
        return migrations.finish()
    finally:
        database.connect(reuse_if_open=True)


def columns(table: str = "notifications") -> set[str]:
    found = rows("SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0", table)
    return {str(name) for (name,) in found}


def valid(index: str) -> bool:
    [(state,)] = rows("SELECT indisvalid FROM pg_index WHERE indexrelid = %s::regclass", index)
    return bool(state)


def test_an_after_migration_is_applied_only_on_request(future: Write) -> None:
    future("9001_note", NOTE)
    future("9002_no_note_after", 'Statement("ALTER TABLE notifications DROP COLUMN note"),')
    future("9003_other", 'Statement("CREATE TABLE other (id bigint)"),')
    assert [(m.name, m.phase, m.steps, m.done) for m in migrations.pending()] == [
        ("9001_note", "before", 1, 0),
        ("9002_no_note_after", "after", 1, 0),
        ("9003_other", "before", 1, 0),
    ]
    assert migrate() == ["9001_note", "9003_other"]
    assert "note" in columns()
    migrations.check()
    assert [m.name for m in migrations.pending()] == ["9002_no_note_after"]
    assert finish() == ["9002_no_note_after"]
    assert "note" not in columns()
    assert (migrate(), finish(), migrations.pending()) == ([], [], [])


def test_an_after_migration_is_refused_while_an_older_program_is_connected(future: Write) -> None:
    future("9001_note", NOTE)
    future("9002_no_note_after", 'Statement("ALTER TABLE notifications DROP COLUMN note"),')
    older = "notification-system 9001"
    with closing(psycopg2.connect(load().database.url, application_name=older)):
        with pytest.raises(migrations.OlderRunning, match=r"1 connections of such are open .* up to 9001"):
            finish()
        assert len(migrations.pending()) == 2
    # The server hears of the end of a connection later than the client.
    eventually(lambda: not rows("SELECT FROM pg_stat_activity WHERE application_name = %s", older))
    with closing(psycopg2.connect(load().database.url, application_name="notification-system 9002")):
        assert finish() == ["9001_note", "9002_no_note_after"]


def test_connection_names_contain_the_last_known_migration() -> None:
    last = max(path.name[:4] for path in migrations.DIRECTORY.glob("[0-9]*.py"))
    assert rows("SHOW application_name") == [(f"notification-system {last}",)]


def test_no_writer_queues_behind_a_migration_that_has_to_wait(future: Write) -> None:
    future("9001_note", NOTE)
    with other() as reader, other() as writer:
        reader.execute("BEGIN; SELECT FROM notifications")
        writer.execute("SET lock_timeout = '5s'")
        with _beside(lambda: migrations.migrate(Limits(0.05))):
            eventually(lambda: rows(WAITING))
            # Each is let through between two tries, or at the end of one.
            for _ in range(20):
                writer.execute(INSERT)
            assert "note" not in columns()
            reader.execute("COMMIT")
    assert "note" in columns()


def test_a_lock_that_never_becomes_free_ends_the_migration_with_nothing_done(future: Write) -> None:
    future("9001_note", 'Statement("CREATE TABLE other (id bigint)"),', NOTE)
    with other() as reader:
        reader.execute("BEGIN; SELECT FROM notifications")
        with pytest.raises(Contended, match="MIGRATION_PATIENCE"):
            migrate(Limits(0.01, 0.1))
    assert "note" not in columns()
    [pending] = migrations.pending()
    assert (pending.steps, pending.done) == (2, 1)
    assert migrate() == ["9001_note"]
    assert rows("SELECT count(*) FROM schema_steps") == [(0,)]


def test_a_corrected_migration_continues_after_its_last_completed_step(future: Write) -> None:
    once = 'Statement("CREATE TABLE other (id bigint)"),'
    future("9001_note", once, 'Statement("INSERT INTO other VALUES (1)"),', 'Statement("SELECT 1 / 0"),', NOTE)
    with pytest.raises(Unacceptable):
        migrate()
    database.connect(reuse_if_open=True)
    assert (rows("SELECT id FROM other"), "note" in columns()) == ([(1,)], False)
    # Longer than before: Python knows a file again by its second and its size.
    future("9001_note", once, 'Statement("INSERT INTO other VALUES (1)"),', 'Statement("SELECT 1 / 100"),', NOTE)
    assert migrate() == ["9001_note"]
    assert (rows("SELECT id FROM other"), "note" in columns()) == ([(1,)], True)


def test_existing_rows_are_updated_in_small_batches(future: Write) -> None:
    ended(count=25)
    fill = "UPDATE notifications SET note = '' WHERE id IN (SELECT id FROM notifications WHERE note IS NULL LIMIT 10)"
    future("9001_note", NOTE, f'Repeated("{fill}"),')
    migrate()
    # Each transaction leaves its own number in the rows that it wrote.
    found = rows("SELECT count(*) FROM notifications WHERE note = '' GROUP BY xmin::text ORDER BY 1")
    assert found == [(5,), (10,), (10,)]


def test_an_index_is_built_on_all_blocks_and_future_ones_while_rows_are_written(future: Write) -> None:
    ended(count=20)
    grown()
    future("9001_note", NOTE)
    migrate()
    future("9002_index", INDEX)
    with other() as early, other() as late:
        early.execute("BEGIN; UPDATE notifications_0 SET subject = ''")
        with _beside(lambda: migrations.migrate(Limits(0.05))):
            eventually(lambda: rows(BUILDING))
            late.execute(f"SET lock_timeout = '5s'; {INSERT}")
            assert not valid("notifications_note")
            early.execute("COMMIT")
    assert valid("notifications_note")
    assert [valid(f"notifications_note_{n}") for n in (0, 2 * SIZE)] == [True, True]
    rows("SELECT setval('notifications_id_seq', %s)", 3 * SIZE)
    assert blocks.grow(SIZE, 1, 10) is not None
    assert valid("notifications_note")
    found = rows("SELECT count(*) FROM pg_inherits WHERE inhparent = 'notifications_note'::regclass")
    assert found == [(len(blocks.listed()),)]


@pytest.mark.parametrize("broken", ["notifications_note_0", "other_note"])
def test_an_index_whose_build_was_interrupted_is_built_again(future: Write, broken: str) -> None:
    table = broken.replace("_note", "")
    unique = f"CREATE UNIQUE INDEX CONCURRENTLY {broken} ON {table} (note)"
    rows("CREATE TABLE other (id bigint, note text)")
    rows("ALTER TABLE notifications ADD COLUMN note text")
    ended(count=2)
    rows("UPDATE notifications SET note = 'same'")
    rows("INSERT INTO other VALUES (1, 'same'), (2, 'same')")
    with other() as builder, pytest.raises(psycopg2.errors.UniqueViolation):
        builder.execute(unique)
    assert not valid(broken)
    future("9001_note", INDEX, 'Index("other_note", "other", "(note)"),')
    migrate()
    assert (valid(broken), valid("notifications_note"), valid("other_note")) == (True, True, True)


def test_two_migrations_at_once_that_build_an_index_do_not_deadlock(future: Write) -> None:
    future("9001_note", NOTE, INDEX)
    applied: list[list[str]] = []

    def one() -> None:
        applied.append(migrations.migrate())

    with other() as reader:
        reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
        with _beside(one), _beside(one):
            eventually(lambda: rows(BUILDING))
            reader.execute("COMMIT")
    assert sorted(applied) == [[], ["9001_note"]]


def test_a_new_database_gets_all_migrations_at_once(
    postgres_server: Postgres, own_store: Settings, future: Write
) -> None:
    future("9001_note", NOTE)
    future("9002_no_note_after", 'Statement("ALTER TABLE notifications DROP COLUMN note"),')
    database.close()
    with empty_database(postgres_server, "fresh_one") as url:
        bind(own_store.changed(DATABASE_URL=url).database)
        assert migrations.migrate()[-2:] == ["9001_note", "9002_no_note_after"]
        migrations.check()
        database.close()
    bind(own_store.database)
    database.connect()
