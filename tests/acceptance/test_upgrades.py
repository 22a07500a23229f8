"""An upgrade of a system at work: the old programs and the new ones, on a schema that grows under them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import psycopg2
import pytest

from db import database, migrations
from db.migrations.insistence import Limits
from tests.acceptance.world import World
from tests.environment import configured
from tests.eventually import eventually
from tests.load import Load
from tests.processes import Group
from tests.queries import Tally
from tests.smtp import SmtpServer
from tests.system import System

pytestmark = pytest.mark.long

NEWER = "tests.acceptance.newer"
# All that a migration may do before a deploy, to the tables that the old programs use most.
BEFORE = '''"""Notes on notifications."""
from db.migrations.steps import Index, Repeated, Statement

STEPS = (
    Statement("CREATE TABLE notes (id bigint PRIMARY KEY, text text NOT NULL)"),
    Statement("ALTER TABLE notifications ADD COLUMN note text, ADD COLUMN kind text NOT NULL DEFAULT 'plain'"),
    Statement("ALTER TABLE attempts ADD COLUMN note text"),
    Statement("ALTER TABLE workers ADD COLUMN note text"),
    Statement("ALTER TABLE notifications ADD CONSTRAINT short CHECK (length(note) < 9) NOT VALID"),
    Statement("ALTER TABLE notifications VALIDATE CONSTRAINT short"),
    Repeated("UPDATE notifications SET note = 'old' WHERE id IN (SELECT id FROM notifications"
             " WHERE note IS NULL AND finished_at IS NOT NULL AND created_at < now() LIMIT 500)"),
    Index("notifications_note", "notifications", "(note, id) WHERE note IS NOT NULL"),
)
'''
AFTER = '''"""What only the old version needs."""
from db.migrations.steps import Statement

STEPS = (Statement("ALTER TABLE workers DROP COLUMN oldest_bells"),)
'''


class Upgraded(NamedTuple):
    """The system, and where the migrations of the version to come are."""

    world: World
    migrations: Path


@pytest.fixture
def upgraded(database_url: str, redis_url: str, smtp_server: SmtpServer, tmp_path: Path) -> Iterator[Upgraded]:
    """The API and one group of workers of this version, and the migrations of the next one, which nobody has run."""
    future = tmp_path / "future"
    shutil.copytree(migrations.DIRECTORY, future, ignore=shutil.ignore_patterns("__pycache__"))
    (future / "9001_notes.py").write_text(BEFORE)
    (future / "9002_no_bells_after.py").write_text(AFTER)
    logs = tmp_path / "logs"
    logs.mkdir()
    urls = {"database_url": database_url, "redis_url": redis_url, "smtp_url": smtp_server.url}
    system = System(logs, newer_migrations=future, **urls)
    try:
        system.start_api()
        system.start_workers()
        yield Upgraded(World(system, smtp_server), future)
    finally:
        system.stop()


@contextmanager
def newer(upgraded: Upgraded, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give this process the migrations that `notify migrate` of the next version would have."""
    monkeypatch.setattr(migrations, "DIRECTORY", upgraded.migrations)
    monkeypatch.setattr(database, "KNOWN", "9002")
    with configured(database_url=upgraded.world.system.environ["DATABASE_URL"]) as settings:
        database.bind(settings.database)
        try:
            yield
        finally:
            database.database.close()


@contextmanager
def long_transaction(url: str) -> Iterator[None]:
    """A reader who stays, a dump perhaps."""
    with closing(psycopg2.connect(url)) as conn, conn.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM notifications")
        yield
        conn.rollback()


def test_a_newer_version_does_not_start_before_its_migration(upgraded: Upgraded) -> None:
    group = upgraded.world.system.spawn_workers(module=NEWER)
    eventually(lambda: not group.running, within=20)
    assert "cannot start: the database lacks 9001_notes: run `notify migrate`" in group.log.read_text()


def test_an_upgrade_under_load_loses_and_refuses_nothing(upgraded: Upgraded, monkeypatch: pytest.MonkeyPatch) -> None:
    world, system = upgraded.world, upgraded.world.system
    [old] = system.workers
    load = Load(system.port, world.recipients(), connections=1).start()
    eventually(lambda: len(load.accepted) > 50)
    with newer(upgraded, monkeypatch):
        waiting = [m.name for m in migrations.pending()]
        with long_transaction(system.environ["DATABASE_URL"]):
            # It is waited for, and nobody waits behind us.
            with pytest.raises(database.Contended):
                migrations.migrate(Limits(0.1, 0.5))
            before = len(load.accepted)
            eventually(lambda: len(load.accepted) > before + 10)
        applied = migrations.migrate()
    new = system.start_workers(module=NEWER)
    # Both at once, each with its part of the work.
    eventually(lambda: workers_with_attempts(world) >= {*old.members, *new.members} & system.sql.worker_pids())
    assert old.stop() == 0
    after = len(load.accepted)
    eventually(lambda: len(load.accepted) > after + 20)
    load.stop()
    assert (waiting, applied) == (["9001_notes", "9002_no_bells_after"], ["9001_notes"])
    assert load.refused == []
    assert world.tally(load.accepted) == Tally.perfect(len(load.accepted))
    assert set(world.mail_server.copies().values()) == {1}


def workers_with_attempts(world: World) -> set[int]:
    return {
        pid for (pid,) in world.system.sql.rows("SELECT DISTINCT pid FROM attempts JOIN workers AS w ON w.id = worker")
    }


def test_the_old_version_starts_again_on_the_schema_of_the_new_one(
    upgraded: Upgraded, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, system = upgraded.world, upgraded.world.system
    with newer(upgraded, monkeypatch):
        migrations.migrate()
    assert system.api is not None
    assert system.api.stop() == 0
    system.start_api()
    system.start_workers()
    assert system.client.get("/readyz").json["checks"]["migrations"] == "ok"
    accepted = world.post(50)
    assert world.tally(accepted) == Tally.perfect(50)


def test_an_after_migration_waits_until_the_old_version_stops_which_then_cannot_start_again(
    upgraded: Upgraded, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = upgraded.world.system
    with newer(upgraded, monkeypatch):
        migrations.migrate()
        with pytest.raises(migrations.OlderRunning, match="9002_no_bells_after would remove what older programs need"):
            migrations.finish()
        system.stop()
        assert migrations.finish() == ["9002_no_bells_after"]
    worker = system.spawn_workers()
    eventually(lambda: not worker.running, within=20)
    api = Group(["gunicorn"], system.environ, system.directory / "refused.log")
    eventually(lambda: not api.running, within=20)
    for group in (worker, api):
        assert group.stop() != 0
        assert "cannot start: the database has 9002_no_bells_after, which removed" in group.log.read_text()
