"""The migration from tables to blocks: nothing is lost or rewritten, and the system works on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playhouse.migrations import Runner

from cli.servers.postgres import Postgres
from db import blocks, lifecycle, migrations, reports, retention
from db.database import bind, connection, database, rows
from db.idempotency import Key, Post, accept_once
from db.records import CLAIMED_COLUMNS, Claimed
from tests.embedded import empty_database
from tests.environment import configured
from tests.integration.ends import ALIKE, BOUNDS, DAY, SIZE, ended, grown, left, orphans
from tests.integration.rows import CLIENT, GRACE, WORKER, accepted, attempt, draft, history, status

STATES = ("pending", "processing", "sent", "failed", "cancelled")
PARTS = tuple(blocks.TABLES)
COMMENTS = "0030_column_comments"  # needs the tables of 0013


@pytest.fixture
def before(postgres_server: Postgres) -> Iterator[None]:
    """A database as the migration before it left it, with what later ones have added: the code needs that."""
    with empty_database(postgres_server, "without_blocks") as url, configured(database_url=url) as settings:
        bind(settings.database)
        with connection():
            runner = _runner()
            runner.up("0012_switches")
            for later in [m for m in runner.status() if m.name > "0013_blocks" and m.name != COMMENTS]:
                migrations._run(runner, later.name, later.load(), migrations.LIMITS)
            yield
        database.close()


def _runner() -> Runner:
    return Runner(database, str(Path(migrations.__file__).parent))


def migrated() -> None:
    # Of later migrations, and so made for the table as 0013 leaves it.
    names = ("note", "count_end", "tell_event")
    functions = [rows("SELECT pg_get_functiondef(%s::regproc)", name)[0][0] for name in names]
    rows("; ".join(f"DROP FUNCTION {name}" for name in names))
    runner = _runner()
    assert list(runner.up("0013_blocks")) == ["0013_blocks"]
    database.connect(reuse_if_open=True)
    [comments] = [m for m in runner.status() if m.name == COMMENTS]
    migrations._run(runner, comments.name, comments.load(), migrations.LIMITS)
    rows("; ".join(functions))


def contents() -> dict[str, list[tuple[Any, ...]]]:
    return {table: rows(f"SELECT t::text FROM {table} AS t ORDER BY 1") for table in PARTS}


def files(names: tuple[str, ...]) -> list[tuple[Any, ...]]:
    """Return where the rows lie: another place would mean that they were rewritten."""
    return [rows("SELECT pg_relation_filepath(%s::regclass)", name)[0] for name in names]


def populated() -> dict[str, list[int]]:
    ids = {state: ended(state, 2 * DAY, 3) for state in STATES}
    accept_once([Post(draft()._replace(contents=(b"a", b"b")), Key("k", b""))], GRACE, 1)
    return ids


@pytest.mark.usefixtures("before")
def test_rows_of_every_status_keep_their_attempts_and_events() -> None:
    ids = populated()
    was, lay = contents(), files(PARTS)
    migrated()
    assert contents() == was
    assert files(tuple(f"{table}_0" for table in PARTS)) == lay
    assert {state: [status(id) for id in ids[state]] for state in STATES} == {s: [s] * 3 for s in STATES}


@pytest.mark.usefixtures("before")
def test_ids_continue_after_the_last_one() -> None:
    accepted(5)
    [cancelled] = ended("cancelled")
    migrated()
    assert accepted(2) == [cancelled + 1, cancelled + 2]
    assert lifecycle.cancel(cancelled + 1, CLIENT)
    assert [id for (id,) in rows("SELECT id FROM events ORDER BY id")] == [1, 2]


@pytest.mark.usefixtures("before")
def test_the_first_id_of_an_empty_database_is_one() -> None:
    migrated()
    assert accepted(2) == [1, 2]


@pytest.mark.usefixtures("before")
def test_every_transition_works_on_migrated_rows() -> None:
    rows("INSERT INTO callbacks (client_id, url, description, events, secret) VALUES (1, 'u', '', '{failed}', 's')")
    ids = populated()
    held = [
        Claimed(*row)
        for row in rows(f"SELECT {', '.join(CLAIMED_COLUMNS)} FROM notifications WHERE id = ANY(%s)", ids["processing"])
    ]
    migrated()
    assert lifecycle.settle([lifecycle.sent(c, attempt()) for c in held[:2]], GRACE, time.monotonic())
    assert lifecycle.settle([lifecycle.failed(held[2], attempt("refused"), "rejected")], GRACE, time.monotonic())
    assert [c.id for c in lifecycle.claim(ids["pending"][:2], WORKER)] == ids["pending"][:2]
    assert lifecycle.cancel(ids["pending"][2], CLIENT)
    assert lifecycle.redrive(ids["failed"][0], CLIENT, GRACE)
    assert history(held[0].id) == ["sent"]
    told = rows("SELECT subject_id FROM notifications WHERE type = 'callback' ORDER BY id")
    assert told[-1] == (held[2].id,)
    assert len(reports.newest(CLIENT, {"status": "sent"}, None, 100).rows) == 5


@pytest.mark.usefixtures("before")
def test_the_first_block_gets_a_bound_and_is_dropped_like_any_other() -> None:
    ended(count=20)
    migrated()
    assert [(b.first, b.end) for b in blocks.listed()] == [(0, None)]
    begun = grown()
    assert begun.first == 2 * SIZE
    kept = accepted()
    assert [step.what for step in retention.look_after_blocks(ALIKE, BOUNDS)] == ["dropped"]
    assert left() == kept
    assert orphans() == []


@pytest.mark.usefixtures("before")
def test_a_migrated_schema_differs_from_an_unpartitioned_one_only_in_blocks() -> None:
    shape = (
        "SELECT attname, atttypid, attnotnull, attstorage FROM pg_attribute WHERE attrelid = 'notifications'::regclass"
        " AND attnum > 0 ORDER BY attnum"
    )
    indexes = "SELECT indexname FROM pg_indexes WHERE tablename = ANY(%s) ORDER BY 1"
    checks = "SELECT conname FROM pg_constraint WHERE conrelid = 'notifications'::regclass AND contype = 'c' ORDER BY 1"
    was = rows(shape), rows(indexes, list(PARTS)), rows(checks)
    migrated()
    assert (rows(shape), rows(indexes, list(PARTS)), rows(checks)) == was
