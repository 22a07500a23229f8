"""`notify retention`, on a database of its own."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from actors.retention import Retention
from cli.main import notify
from db import audit
from db.database import bind, connection, database, rows
from settings import Settings
from tests.environment import configured
from tests.integration.ends import DAY, Elsewhere, ended, full_block, left

pytestmark = pytest.mark.usefixtures("own_store")
Run = Callable[..., Result]


@pytest.fixture
def run(own_store: Settings) -> Run:
    """The command with these settings; this thread's connection is open again afterwards."""

    def retention(*words: str, **values: object) -> Result:
        database.close()
        with configured(database_url=own_store.database.url, **values):
            result = CliRunner().invoke(notify, ["retention", *words])
        bind(own_store.database)
        database.connect(reuse_if_open=True)
        return result

    return retention


def test_by_default_everything_is_kept(run: Run) -> None:
    ids = ended(ago=10_000 * DAY, count=3)
    result = run()
    assert result.exit_code == 0, result.output
    assert left() == ids
    assert result.stdout.count("ever") == 3


def test_retention_drops_deletes_and_reports_without_lateness(run: Run) -> None:
    full_block()
    ended(count=4)
    [kept] = ended("failed")
    result = run("--json", retention_sent=DAY)
    assert json.loads(result.stdout) == {
        "dryRun": False,
        "kept": {"sent": DAY, "failed": None, "cancelled": None},
        "deletedRows": 4,
        "droppedBlocks": 1,
        "droppedRows": 20,
        "contendedBlocks": 0,
    }
    assert left() == [kept]


def test_a_dry_run_removes_nothing(run: Run) -> None:
    _, ids = full_block()
    rows("ANALYZE notifications")
    shown = json.loads(run("--dry-run", "--json", retention_sent=DAY).stdout)
    assert (shown["dryRun"], shown["droppedBlocks"], shown["droppedRows"]) == (True, 1, 20)
    assert left() == ids
    assert "Would be dropped: 1 partitions with about 20" in run("--dry-run", retention_sent=DAY).stdout


def test_a_locked_table_is_reported(run: Run, own_store: Settings) -> None:
    full_block()
    with Elsewhere(own_store) as other:
        other.run("SELECT count(*) FROM notifications")
        result = run(retention_sent=DAY)
    assert result.exit_code == 0
    assert "1 partitions; run this again" in result.stdout


def test_a_database_without_migrations_is_reported(run: Run) -> None:
    with connection():
        rows("DELETE FROM schema_migration WHERE name = '0013_blocks'")
    result = run(retention_sent=DAY)
    assert (result.exit_code, "run `notify migrate`" in result.stderr) == (1, True)


def test_a_dropped_block_is_recorded_with_its_actor(run: Run, own_store: Settings) -> None:
    full_block()
    Retention(own_store.changed(RETENTION_SENT=DAY).retention).turn()
    full_block()
    run(retention_sent=DAY)
    mine, workers = audit.newest(None, {"act": "block.dropped"}, None, 9)
    assert (mine["actor"], workers["actor"]) == ("cli", "worker")
    assert (workers["client_id"], workers["target"], workers["detail"]) == (None, "block 0", {"rows": 20})
    assert workers["name"]
