"""`notify migrate`, run by a person and by a script."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
import pytest
from click.testing import CliRunner, Result

from cli.main import notify
from db import database, migrations
from db.database import rows
from settings import Settings
from tests.environment import configured

pytestmark = pytest.mark.usefixtures("own_store")
Run = Callable[..., Result]
NOTE = '"""Notes on notifications."""\nfrom db.migrations.steps import Statement\nSTEPS = ({},)\n'
ADD = 'Statement("SELECT 1"), Statement("ALTER TABLE notifications ADD COLUMN note text")'
DROP = 'Statement("ALTER TABLE notifications DROP COLUMN note")'


@pytest.fixture
def run(own_store: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command of a version to come, with two migrations more."""
    shutil.copytree(migrations.DIRECTORY, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "9001_note.py").write_text(NOTE.format(ADD))
    (tmp_path / "9002_no_note_after.py").write_text(NOTE.format(DROP))
    monkeypatch.setattr(migrations, "DIRECTORY", tmp_path)
    monkeypatch.setattr(database, "KNOWN", "9002")

    def migrate(*words: str, **values: object) -> Result:
        database.database.close()
        with configured(**{"database_url": own_store.database.url, **values}):
            result = CliRunner().invoke(notify, ["migrate", *words])
        database.bind(own_store.database)
        database.database.connect(reuse_if_open=True)
        return result

    return migrate


@contextmanager
def busy(url: str, application_name: str = "") -> Iterator[None]:
    """Somebody who has the table in use."""
    with closing(psycopg2.connect(url, application_name=application_name)) as conn, conn.cursor() as cursor:
        cursor.execute("SELECT FROM notifications")
        yield


def test_before_and_after_migrations_are_applied_in_their_phases(run: Run) -> None:
    first = run()
    assert (first.exit_code, first.stdout.splitlines()[0]) == (0, "applied: 9001_note")
    assert "waiting: 9002_no_note_after: run `notify migrate --after` once no older version" in first.stdout
    assert run().stdout.startswith("nothing to apply\nwaiting: 9002_no_note_after")
    assert run("--after").stdout == "applied: 9002_no_note_after\n"
    assert run("--after").stdout == "nothing to apply\n"


def test_json_output_lists_applied_and_waiting_migrations(run: Run) -> None:
    assert json.loads(run("--json").stdout) == {"applied": ["9001_note"], "waiting": ["9002_no_note_after"]}
    assert json.loads(run("--json", "--after").stdout) == {"applied": ["9002_no_note_after"], "waiting": []}


def test_a_plan_applies_nothing(run: Run) -> None:
    shown = run("--plan").stdout
    assert shown.splitlines()[0].split() == ["MIGRATION", "PHASE", "STEPS", "DONE", "DESCRIPTION"]
    assert "9001_note           before  0 of 2      Notes on notifications." in shown
    about = {"about": "Notes on notifications.", "done": 0}
    assert json.loads(run("--plan", "--json").stdout) == {
        "pending": [
            {"name": "9001_note", "phase": "before", "steps": 2, **about},
            {"name": "9002_no_note_after", "phase": "after", "steps": 1, **about},
        ]
    }
    assert rows("SELECT count(*) FROM schema_migration WHERE name LIKE '9%%'") == [(0,)]
    run("--after")
    assert run("--plan").stdout == "nothing to apply\n"


def test_a_locked_table_is_reported_and_the_plan_shows_the_completed_steps(run: Run, own_store: Settings) -> None:
    with busy(own_store.database.url):
        result = run(migration_patience=0)
    assert result.exit_code == 75
    assert result.stderr.startswith(
        "Error: other sessions held a lock for 0 seconds (MIGRATION_PATIENCE); what was done before"
    )
    assert json.loads(run("--plan", "--json").stdout)["pending"][0]["done"] == 1


def test_an_after_migration_is_refused_while_older_programs_are_connected(run: Run, own_store: Settings) -> None:
    with busy(own_store.database.url, "notification-system 0013"):
        result = run("--after")
    assert result.exit_code == 1
    assert "1 connections of such are open (they know migrations up to 0013)" in result.stderr
