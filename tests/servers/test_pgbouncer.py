"""PgBouncer with its default settings between everything and PostgreSQL, its sessions pooled or its transactions."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import psycopg2
import pytest

from db import database, migrations, retention
from db.database import Unavailable, connection, rows
from db.exclusive import exclusive
from db.fitness import advised
from tests import pooler
from tests.environment import configured
from tests.eventually import eventually
from tests.processes import Group
from tests.queries import Queries
from tests.servers.running import notify, starts
from tests.servers.stock_postgres import ROLE, StockPostgres
from tests.smtp import SmtpServer
from tests.system import System

pytestmark = pytest.mark.long

MODES = ("session", "transaction")
MANY = 60
# What others leave in sessions: pg_dump the first.
LEFT = (
    "'search_path', ''",
    "'statement_timeout', '20'",
    "'default_transaction_isolation', 'serializable'",
    "'bytea_output', 'escape'",
)


@contextmanager
def bound(url: str, **settings: object) -> Iterator[None]:
    """This process speaks to that database, with an open connection."""
    with configured(database_url=url, **settings) as chosen:
        database.bind(chosen.database)
        try:
            with connection():
                yield
        finally:
            if not database.database.is_closed():
                database.database.close()


@pytest.fixture(params=MODES)
def through(request: pytest.FixtureRequest, stock_database_url: str, tmp_path: Path) -> Iterator[str]:
    """DATABASE_URL of a migrated database behind PgBouncer."""
    with pooler.pooled(stock_database_url, tmp_path, request.param, 40) as url:
        yield url


@pytest.fixture
def transactions(stock_database_url: str, tmp_path: Path) -> Iterator[str]:
    """DATABASE_URL of a migrated database, behind a PgBouncer that gives each transaction the next of its sessions."""
    with pooler.pooled(stock_database_url, tmp_path, "transaction", 4, server_round_robin=1) as url:
        # Each has one of the sessions at the same time, which are then there to be given to others.
        others = [psycopg2.connect(url) for _ in range(3)]
        for other in others:
            other.cursor().execute("SELECT 1")
        for other in others:
            other.rollback()
            other.close()
        yield url


def test_a_pooler_is_detected(stock_database_url: str, through: str) -> None:
    with bound(through):
        assert database.database.pooled()
    with bound(stock_database_url):
        assert not database.database.pooled()


def sends(system: System, smtp_server: SmtpServer) -> list[int]:
    """Send MANY mails; each is delivered once, and its times are in UTC."""
    ids = []
    for number in range(MANY):
        sent = system.client.notify(f"anna{number}@example.com", message="Schön")
        assert sent.status == 201, sent
        ids.append(sent.json["id"])
    eventually(lambda: _finished(system, ids), within=90, saying=system.logs)
    assert len(smtp_server.mails) == MANY
    assert len({to for mail in smtp_server.mails for to in mail.recipients}) == MANY
    for id in ids[:5]:
        finished = system.client.notification(id)["finishedAt"]
        assert abs((datetime.now(UTC) - datetime.fromisoformat(finished)).total_seconds()) < 600
    return ids


def _finished(system: System, ids: list[int]) -> bool:
    return all(system.client.notification(id)["status"] == "sent" for id in ids)


def test_no_notification_is_lost_or_sent_twice_behind_a_pooler(
    stock_postgres: StockPostgres, through: str, stock_redis_url: str, smtp_server: SmtpServer, tmp_path: Path
) -> None:
    stock_postgres.run(f"ALTER ROLE {ROLE} SET timezone = 'Asia/Kolkata'")
    stock_postgres.run(f"ALTER ROLE {ROLE} SET default_transaction_isolation = 'serializable'")
    system = System(
        tmp_path,
        database_url=through,
        redis_url=stock_redis_url,
        smtp_url=smtp_server.url,
        retention_sent=3_600,
        retention_interval=1,
    )
    try:
        system.start_api(processes=2)
        system.start_workers(processes=2)
        sends(system, smtp_server)
    finally:
        system.stop()
        stock_postgres.run(f"ALTER ROLE {ROLE} RESET ALL")
    assert '"level":"error"' not in system.logs()
    assert "Traceback" not in system.logs()


def test_few_shared_sessions_with_foreign_settings_do_no_harm(
    transactions: str, stock_database_url: str, stock_redis_url: str, smtp_server: SmtpServer, tmp_path: Path
) -> None:
    stop = threading.Event()

    def spoil() -> None:
        with closing(psycopg2.connect(transactions)) as other:
            other.autocommit = True
            with other.cursor() as cursor:
                while not stop.is_set():
                    # Its own time may be over as well.
                    with suppress(psycopg2.errors.QueryCanceled):
                        for setting in LEFT:
                            cursor.execute(f"SELECT set_config({setting}, false)")
                    stop.wait(0.02)

    spoiler = threading.Thread(target=spoil)
    system = System(tmp_path, database_url=transactions, redis_url=stock_redis_url, smtp_url=smtp_server.url)
    system.sql = Queries(stock_database_url)
    spoiler.start()
    try:
        system.start_api()
        system.start_workers()
        sends(system, smtp_server)
    finally:
        system.stop()
        stop.set()
        spoiler.join()


def test_each_transaction_sets_and_leaves_no_session_settings(transactions: str) -> None:
    with bound(f"{transactions}?options=-cwork_mem%3D7MB%20-csearch_path%3Dpublic", db_statement_timeout=9):
        sessions = set()
        for _ in range(12):
            [(pid, zone, timeout, memory)] = rows(
                "SELECT pg_backend_pid(), current_setting('TimeZone'), current_setting('statement_timeout'),"
                " current_setting('work_mem')"
            )
            sessions.add(pid)
            assert (zone, timeout, memory) == ("UTC", "9s", "7MB")
        assert len(sessions) > 1
    with closing(psycopg2.connect(transactions)) as other, other.cursor() as cursor:
        for _ in range(12):
            cursor.execute("SELECT current_setting('statement_timeout'), current_setting('work_mem')")
            assert cursor.fetchall() == [("0", "4MB")]
            other.commit()


def test_statement_timeouts_are_in_force(transactions: str) -> None:
    with pytest.raises(Unavailable, match="statement timeout"), bound(transactions, db_statement_timeout=0.2):
        rows("SELECT pg_sleep(30)")
    with (
        pytest.raises(Unavailable, match="statement timeout"),
        bound(transactions, db_statement_timeout=0.2),
        database.database.atomic(),
    ):
        rows("SELECT pg_sleep(30)")


@pytest.mark.parametrize("lock", [7_021_969, retention.LOCK])
def test_a_lock_belongs_to_one_process_and_ends_with_it(transactions: str, lock: int) -> None:
    def other() -> list[bool]:
        found: list[bool] = []

        def ask() -> None:
            with connection():
                with exclusive(lock) as mine:
                    found.append(mine)
                database.database.close()

        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
        return found

    with bound(transactions):
        with exclusive(lock) as mine:
            assert mine
            for _ in range(5):
                assert rows("SELECT 1") == [(1,)]
                assert other() == [False]
        assert eventually(other) == [True]


def test_migrations_are_done_through_a_pooler_by_one_at_a_time(stock_postgres: StockPostgres, tmp_path: Path) -> None:
    with stock_postgres.empty() as url, pooler.pooled(url, tmp_path, "transaction", 10) as through:
        groups = [
            Group(["notify", "migrate"], System(tmp_path, **_nowhere(through)).environ, tmp_path / f"m{n}.log")
            for n in range(3)
        ]
        for group in groups:
            eventually(lambda group=group: not group.running, within=90, saying=group.log.read_text)  # type: ignore[misc]
        said = sorted(group.log.read_text() for group in groups)
        assert sum("applied: 0001" in one for one in said) == 1, said
        assert sum("nothing to apply" in one for one in said) == 2, said
        assert notify(through, "migrate", "--after").said == "nothing to apply\n"
        assert notify(through, "migrate", "--plan").said == "nothing to apply\n"
        # No lock stays behind in PgBouncer's sessions.
        assert stock_postgres.run("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)]


def _nowhere(url: str) -> dict[str, str]:
    return {"database_url": url, "redis_url": "redis://127.0.0.1:9/0", "smtp_url": "smtp://127.0.0.1:9"}


def test_a_killed_migration_leaves_no_lock(stock_postgres: StockPostgres, tmp_path: Path) -> None:
    with stock_postgres.empty() as url, pooler.pooled(url, tmp_path, "transaction", 10) as through:
        assert notify(url, "migrate").code == 0
        database_name = url.rpartition("/")[2]
        stock_postgres.run("DELETE FROM schema_migration WHERE name LIKE '0017%'", database=database_name)
        holder = psycopg2.connect(url)
        with closing(holder):
            holder.cursor().execute("LOCK TABLE workers IN ACCESS EXCLUSIVE MODE")
            group = Group(["notify", "migrate"], System(tmp_path, **_nowhere(through)).environ, tmp_path / "m.log")
            held = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted"
            eventually(lambda: stock_postgres.run(held), within=60, saying=group.log.read_text)
            group.kill()
            eventually(lambda: not stock_postgres.run(held), within=60)


def test_after_migrations_are_refused_behind_a_pooler_that_hides_connections(
    transactions: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for path in migrations.DIRECTORY.glob("[0-9]*.py"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    step = 'from db.migrations.steps import Statement\nSTEPS = (Statement("SELECT 1"),)\n'
    (tmp_path / "9001_old_after.py").write_text(f'"""Test."""\n{step}')
    monkeypatch.setattr(migrations, "DIRECTORY", tmp_path)
    with bound(transactions), pytest.raises(migrations.OlderRunning, match="a pooler hides who is connected"):
        migrations.finish()


def test_a_new_database_behind_a_pooler_gets_all_migrations_at_once(
    stock_postgres: StockPostgres, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for path in migrations.DIRECTORY.glob("[0-9]*.py"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    step = 'from db.migrations.steps import Statement\nSTEPS = (Statement("SELECT 1"),)\n'
    (tmp_path / "9001_old_after.py").write_text(f'"""Test."""\n{step}')
    monkeypatch.setattr(migrations, "DIRECTORY", tmp_path)
    with (
        stock_postgres.empty() as url,
        pooler.pooled(url, tmp_path, "transaction") as through,
        bound(through),
    ):
        assert migrations.finish()[-1] == "9001_old_after"


def test_programs_refuse_to_start_behind_a_pooler_in_statement_mode(
    stock_database_url: str, stock_redis_url: str, tmp_path: Path
) -> None:
    with pooler.pooled(stock_database_url, tmp_path, "statement") as url:
        for ran in starts(tmp_path, url, stock_redis_url).values():
            assert ran.said.count("cannot start: ") == 1
            assert "set pool_mode to transaction or session" in ran.said
        ran = notify(url, "migrate")
        assert (ran.code, "set pool_mode to transaction or session" in ran.said) == (3, True), ran


def test_options_that_a_pooler_cannot_pass_on_are_reported(through: str) -> None:
    ran = notify(f"{through}?options=endpoint%3Dep-1", "migrate")
    assert (ran.code, "unsupported startup parameter: options" in ran.said) == (3, True)
    assert "leave out of options" in ran.said
    assert notify(f"{through}?options=-csearch_path%3Dpublic", "migrate").said == "nothing to apply\n"


# As PgBouncer before 1.20 and since, and as services with a pooler of their own say it.
REFUSALS = {
    "FATAL:  unsupported startup parameter: options": "leave out of options",
    "FATAL:  unsupported startup parameter in options: statement_timeout": "leave out of options",
    "ERROR:  unsupported startup parameter in options: search_path": "leave out of options",
    "FATAL:  no such database: shop": "create it",
    'FATAL:  database "shop" does not exist': "create it",
    "FATAL:  SASL authentication failed": "correct the user and password in DATABASE_URL",
    'FATAL:  password authentication failed for user "me"': "correct the user and password in DATABASE_URL",
    "FATAL:  transaction blocks not allowed in statement pooling mode": "set pool_mode to transaction or session",
}


@pytest.mark.parametrize("said", REFUSALS)
def test_each_refusal_of_a_pooler_is_reported_with_its_fix(said: str) -> None:
    assert advised(said).startswith(f"{said}: {REFUSALS[said]}")
    assert advised("something else") == "something else"
