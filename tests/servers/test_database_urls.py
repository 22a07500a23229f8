"""DATABASE_URL on a stock server: schemas, sockets, several hosts, and two installations in one database."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg2
import pytest

from db import blocks, changes, clients, database, drain, migrations, retention
from db.database import Unavailable, connection, rows
from db.exclusive import exclusive
from db.migrations.lock import LOCK
from db.policy import Bounds, Policy
from tests.environment import configured
from tests.eventually import eventually
from tests.queries import Queries
from tests.servers.running import notify
from tests.servers.stock_postgres import PASSWORD, ROLE, StockPostgres
from tests.smtp import SmtpServer
from tests.system import System

pytestmark = pytest.mark.long

FORMS = {
    "options": "options=-csearch_path%3D{}",
    "more options": "options=-c%20work_mem%3D8MB%20-c%20search_path%3D{}&sslmode=prefer&connect_timeout=20",
    "schema": "schema={}",
    "search_path": "search_path={}",
    "prisma": "schema={}&pgbouncer=true&connection_limit=2",
}


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


@pytest.fixture
def two(stock_postgres: StockPostgres) -> Iterator[str]:
    """DATABASE_URL of a database with the schemas `a` and `b`, both empty."""
    with stock_postgres.empty() as url:
        name = url.rpartition("/")[2]
        stock_postgres.run(f"SET ROLE {ROLE}; CREATE SCHEMA a; CREATE SCHEMA b", database=name)
        yield url


def migrated(url: str) -> None:
    with bound(url):
        migrations.migrate()


def tables(server: StockPostgres, url: str, schema: str) -> set[str]:
    found = server.run(
        "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(%s) AND relkind IN ('r', 'p')",
        *(schema,),
        database=url.rpartition("/")[2],
    )
    return {str(name) for (name,) in found}


@pytest.mark.parametrize("form", FORMS)
def test_all_tables_and_functions_are_in_the_schema_of_the_url(
    stock_postgres: StockPostgres, two: str, form: str
) -> None:
    url = f"{two}?{FORMS[form].format('a')}"
    migrated(url)
    made = tables(stock_postgres, two, "a")
    assert {"notifications", "schema_migration", "schema_steps", "notifications_0"} <= made
    assert tables(stock_postgres, two, "public") == tables(stock_postgres, two, "b") == set()
    with bound(url):
        migrations.check_start()
        assert migrations.migrate() == []


def test_a_schema_may_have_any_name(stock_postgres: StockPostgres, two: str) -> None:
    name = 'My "own", schema'
    quoted = name.replace('"', '""')
    stock_postgres.run(f'SET ROLE {ROLE}; CREATE SCHEMA "{quoted}"', database=two.rpartition("/")[2])
    url = f"{two}?schema={quote(name)}"
    migrated(url)
    with bound(url):
        assert rows("SELECT count(*) FROM notifications") == [(0,)]
        assert retention_steps() == []
    assert tables(stock_postgres, two, "public") == set()


def retention_steps() -> list[str]:
    policy = Policy(sent=1.0, failed=1.0, cancelled=1.0, lateness=0.0)
    bounds = Bounds(size=1_000, batch=100, lock_timeout=1.0, time_limit=10.0)
    return [step.what for step in retention.look_after_blocks(policy, bounds)]


@pytest.mark.parametrize("query", ["schema={}", "schema={}&pgbouncer=true"])
def test_blocks_are_begun_and_dropped_in_their_own_schema(stock_postgres: StockPostgres, two: str, query: str) -> None:
    urls = {schema: f"{two}?{query.format(schema)}" for schema in "ab"}
    for url in urls.values():
        migrated(url)
    before = tables(stock_postgres, two, "b")
    with bound(urls["a"]):
        [first] = blocks.listed()
        rows("SELECT setval('notifications_id_seq', 500)")
        assert retention_steps() == ["begun", "dropped"]
        assert first.first not in [block.first for block in blocks.listed()]
    assert tables(stock_postgres, two, "b") == before


def test_two_installations_in_one_database_do_not_wait_for_each_other(stock_postgres: StockPostgres, two: str) -> None:
    a, b = f"{two}?schema=a", f"{two}?schema=b"
    migrated(a)
    migrated(b)
    for lock in (LOCK, retention.LOCK, changes.LOCK):
        with bound(a):
            name = rows("SELECT current_schema()")
            with exclusive(lock) as mine:
                assert (name, mine) == ([("a",)], True)
                ran = held_in_another_process(b, lock)
                assert ran == [True]
                assert held_in_another_process(a, lock) == [False]


def held_in_another_process(url: str, lock: int) -> list[bool]:
    """Try to take the lock over a connection of its own, as another process would."""
    from db.session import SCHEMA  # noqa: PLC0415

    schema = url.rpartition("=")[2]
    with closing(psycopg2.connect(f"{url.partition('?')[0]}?options=-csearch_path%3D{schema}")) as conn:
        cursor = conn.cursor()
        cursor.execute(f"SELECT pg_try_advisory_lock(%s, {SCHEMA})", (lock,))
        return [mine for (mine,) in cursor.fetchall()]


def test_programs_of_another_installation_do_not_hold_up_this_one(
    stock_postgres: StockPostgres, two: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for schema in "ab":
        migrated(f"{two}?schema={schema}")
    migrated(two)
    # A later version, of which the last migration waits for the end of older programs.
    for path in migrations.DIRECTORY.glob("[0-9]*.py"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    step = 'from db.migrations.steps import Statement\nSTEPS = (Statement("SELECT 1"),)\n'
    (tmp_path / "9001_old_after.py").write_text(f'"""Test."""\n{step}')
    with configured(database_url=f"{two}?schema=a&application_name=shop") as chosen:
        database.bind(chosen.database)
        older = database.database.another()
    monkeypatch.setattr(migrations, "DIRECTORY", tmp_path)
    with closing(older):
        for url in (f"{two}?schema=b", two):
            with bound(url):
                assert migrations.finish() == ["9001_old_after"]
        with (
            bound(f"{two}?schema=a"),
            pytest.raises(migrations.OlderRunning, match="1 connections of such are open"),
        ):
            migrations.finish()
    with bound(f"{two}?schema=a"):
        assert eventually(migrations.finish) == ["9001_old_after"]


def test_a_transaction_of_another_installation_is_not_waited_for(stock_postgres: StockPostgres, two: str) -> None:
    for schema in "ab":
        migrated(f"{two}?schema={schema}")
    with configured(database_url=f"{two}?schema=a") as chosen:
        database.bind(chosen.database)
        busy = database.database.another()
    with closing(busy), busy.cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
        for schema, expected in (("a", 1), ("b", 0)):
            with bound(f"{two}?schema={schema}"):
                [(number,)] = rows("SELECT pg_current_xact_id()::text::bigint")
                assert drain.unaware(number) == expected


def test_two_installations_in_one_database_send_only_their_own_notifications(
    stock_postgres: StockPostgres, two: str, stock_redis_url: str, smtp_server: SmtpServer, tmp_path: Path
) -> None:
    url = f"{two}?schema=a"
    migrated(url)
    migrated(two)
    system = System(tmp_path, database_url=url, redis_url=stock_redis_url, smtp_url=smtp_server.url)
    system.sql = Queries(f"{two}?options=-csearch_path%3Da")
    try:
        system.start_api()
        system.start_workers()
        for number in range(10):
            assert system.client.notify(f"anna{number}@example.com").status == 201
        eventually(lambda: len(smtp_server.mails) >= 10, within=60, saying=system.logs)
    finally:
        system.stop()
    with bound(two):
        assert rows("SELECT count(*) FROM notifications") == [(0,)]
        assert rows("SELECT count(*) FROM workers") == [(0,)]
    with bound(url):
        assert rows("SELECT count(*) FROM notifications") == [(10,)]


def test_urls_with_sockets_and_several_hosts_work_and_unknown_options_are_refused(
    stock_postgres: StockPostgres, two: str, tmp_path: Path
) -> None:
    name, port = two.rpartition("/")[2], stock_postgres.port
    passfile = tmp_path / "passfile"
    passfile.write_text(f"127.0.0.1:{port}:*:{ROLE}:{PASSWORD}\n")
    passfile.chmod(0o600)
    place = quote(str(stock_postgres.directory / "postgres"), safe="")
    urls = (
        f"postgresql+psycopg2://{two.partition('://')[2]}",
        f"postgresql://postgres@{place}:{port}/{name}",
        f"postgresql:///{name}?host={place}&port={port}&user=postgres",
        f"postgresql://{ROLE}@127.0.0.1:{port}/{name}?passfile={quote(str(passfile), safe='')}",
        f"{two.replace('@127.0.0.1', '@127.0.0.1:9,127.0.0.1')}?target_session_attrs=read-write&keepalives_idle=5",
    )
    for url in urls:
        with bound(url):
            assert rows("SELECT current_database()") == [(name,)]
    ran = notify(f"{two}?nonsense=1", "migrate")
    assert (ran.code, "an unknown option 'nonsense'" in ran.said) == (4, True)
    ran = notify(two, "doctor", PGOPTIONS="-c timezone=Asia/Kolkata")
    assert "PGOPTIONS sets timezone to 'Asia/Kolkata'" in " ".join(ran.said.split())


@pytest.mark.parametrize("query", ["", "?target_session_attrs=read-write", "?load_balance_hosts=random"])
def test_a_host_that_hangs_is_skipped(two: str, query: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        url = two.replace("@127.0.0.1:", f"@127.0.0.1:{port},127.0.0.1:{port},127.0.0.1:")
        with bound(f"{url}{query}", db_connect_timeout=1):
            assert rows("SELECT 1") == [(1,)]
        nowhere = f"{url.rpartition(',')[0]}/{two.rpartition('/')[2]}"
        with pytest.raises(Unavailable, match="no answer within 1 seconds"), bound(nowhere, db_connect_timeout=1):
            pass


def test_sslmode_is_honoured(two: str) -> None:
    with pytest.raises(Unavailable, match="SSL"), bound(f"{two}?sslmode=require"):
        pass
    ran = notify(f"{two}?sslmode=require", "migrate")
    assert (ran.code, "set ssl = on in postgresql.conf, or write sslmode=disable" in ran.said) == (3, True), ran


@pytest.mark.parametrize("option", ["sslmode=REQUIRE", "target_session_attrs=rw", "keepalives=abc", "service=none"])
def test_a_value_that_libpq_refuses_is_reported_with_the_fix(two: str, option: str) -> None:
    ran = notify(f"{two}?{option}", "migrate")
    assert (ran.code, "correct that option in DATABASE_URL" in ran.said) == (3, True), ran


def test_a_setting_that_only_a_restart_changes_is_refused(two: str) -> None:
    ran = notify(f"{two}?options=-cmax_connections%3D5", "migrate")
    assert (ran.code, 'DATABASE_URL sets what the server refuses (parameter "max_connections"' in ran.said) == (4, True)


def test_a_search_path_in_both_environment_and_url_is_refused(two: str) -> None:
    ran = notify(f"{two}?schema=a", "migrate", PGOPTIONS="-c search_path=b")
    assert (ran.code, "DATABASE_URL and PGOPTIONS both give the search_path" in ran.said) == (4, True), ran


def test_a_role_without_ownership_is_reported_for_workers_too(stock_postgres: StockPostgres, two: str) -> None:
    migrated(two)
    name = two.rpartition("/")[2]
    stock_postgres.run("CREATE ROLE guest LOGIN PASSWORD 'guest'")
    try:
        for what in ("TABLES", "SEQUENCES"):
            stock_postgres.run(f"GRANT ALL ON ALL {what} IN SCHEMA public TO guest", database=name)
        ran = notify(stock_postgres.url_of(name, "guest", "guest"), "doctor", "--json")
    finally:
        stock_postgres.run("DROP OWNED BY guest", database=name)
        stock_postgres.run("DROP ROLE guest")
    found = json.loads(ran.said)["findings"]
    assert any("this user does not own" in one["what"] for one in found)
    assert {"plans", "workers", "backlog"} <= {one["check"] for one in found}


def test_doctor_reports_a_missing_schema_as_the_only_fault(two: str) -> None:
    found = [one for one in json.loads(notify(two, "doctor", "--json").said)["findings"] if one["level"] == "problem"]
    assert [one["fix"] for one in found if one["check"] in {"database", "schema"}] == ["run `notify migrate`"]


def test_doctor_reports_ignored_options(two: str) -> None:
    migrated(two)
    ran = notify(f"{two}?connection_limit=5&pgbouncer=true", "doctor")
    said = " ".join(ran.said.split())
    assert "DATABASE_URL has connection_limit, which is ignored" in said
    assert "every transaction sets its own settings" in said


def test_clients_are_created_in_the_schema_of_the_url(stock_postgres: StockPostgres, two: str) -> None:
    migrated(f"{two}?schema=a")
    migrated(two)
    assert notify(f"{two}?schema=a", "clients", "create", "--name", "shop").code == 0
    with bound(f"{two}?schema=a"):
        assert clients.named("shop") is not None
    with bound(two):
        assert clients.named("shop") is None
