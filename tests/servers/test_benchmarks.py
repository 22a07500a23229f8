"""The benchmark on existing servers: it measures them, and does not touch foreign data."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
import redis

from benchmarks.existing import Existing, RefusedError
from benchmarks.target import ROOT
from tests.servers.stock_postgres import StockPostgres

SMALL = ("--only", "drain", "--runs", "1", "--backlog", "100", "--smtp-ms", "0", "--threads", "8")


@pytest.fixture
def empty_database_url(stock_postgres: StockPostgres) -> Iterator[str]:
    with stock_postgres.empty() as url:
        yield url


def ran(database_url: str, redis_url: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", "--database-url", database_url, "--redis-url", redis_url, *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)


def tables(url: str) -> list[str]:
    with closing(psycopg2.connect(url)) as session, session.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1")
        return [name for (name,) in cursor.fetchall()]


def test_a_measurement_leaves_both_servers_empty(empty_database_url: str, stock_redis_url: str) -> None:
    done = ran(empty_database_url, stock_redis_url, *SMALL)

    assert done.returncode == 0, done.stderr
    assert "| drain of 100: per second |" in done.stdout
    assert "missing mails and duplicates: 0 in all" in done.stdout
    assert tables(empty_database_url) == []
    with redis.Redis.from_url(stock_redis_url) as client:
        assert client.dbsize() == 0


def test_a_database_with_notifications_is_refused_and_not_changed(
    stock_database_url: str, stock_redis_url: str
) -> None:
    with closing(psycopg2.connect(stock_database_url)) as session:
        session.autocommit = True
        session.cursor().execute(
            "INSERT INTO notifications (type, recipient, subject, message) VALUES ('email', 'a@example.com', '', '')"
        )
    before = tables(stock_database_url)
    done = ran(stock_database_url, stock_redis_url, *SMALL)

    assert done.returncode == 2
    assert "--database-url: the database is not empty (it has public." in done.stderr
    assert "Traceback" not in done.stderr
    assert tables(stock_database_url) == before
    with closing(psycopg2.connect(stock_database_url)) as session, session.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM notifications")
        assert cursor.fetchone() == (1,)


def test_a_database_with_tables_in_another_schema_is_refused(empty_database_url: str, stock_redis_url: str) -> None:
    with closing(psycopg2.connect(empty_database_url)) as session:
        session.autocommit = True
        session.cursor().execute("CREATE SCHEMA theirs; CREATE TABLE theirs.users ()")
    done = ran(empty_database_url, stock_redis_url, *SMALL)

    assert done.returncode == 2
    assert "it has theirs.users" in done.stderr


def test_a_redis_with_keys_is_refused_and_not_changed(empty_database_url: str, stock_redis_url: str) -> None:
    with redis.Redis.from_url(stock_redis_url) as client:
        client.set("somebody", "else")
        done = ran(empty_database_url, stock_redis_url, *SMALL)

        assert done.returncode == 2
        assert "--redis-url: this Redis database contains 1 keys" in done.stderr
        assert client.get("somebody") == b"else"
    assert tables(empty_database_url) == []


def test_foreign_keys_that_appear_in_redis_are_not_deleted(
    tmp_path: Path, empty_database_url: str, stock_redis_url: str
) -> None:
    lent = Existing(tmp_path, empty_database_url, stock_redis_url)
    with redis.Redis.from_url(stock_redis_url) as client:
        client.set("dramatiq:notifications", "ours")
        client.set("somebody", "else")
        with pytest.raises(RefusedError, match="'somebody' is not one of our keys"):
            lent.fresh("")
        assert client.dbsize() == 2

        client.delete("somebody")
        lent.fresh("")
        assert client.dbsize() == 0


@pytest.mark.parametrize(
    ("database_url", "redis_url", "option"),
    [
        ("mysql://root@127.0.0.1/x", "redis://127.0.0.1:1/0", "--database-url"),
        ("postgresql://a:secret@127.0.0.1:1/x", "redis://127.0.0.1:1/0", "--database-url"),
        (None, "http://127.0.0.1", "--redis-url"),
        (None, "redis://127.0.0.1:1/0", "--redis-url"),
    ],
)
def test_an_unreachable_server_is_reported_by_its_option(
    empty_database_url: str, database_url: str | None, redis_url: str, option: str
) -> None:
    done = ran(database_url or empty_database_url, redis_url, *SMALL)

    assert done.returncode == 2
    assert done.stderr.startswith(option), done.stderr
    assert "secret" not in done.stderr
