"""The wait for PostgreSQL is limited in every fault."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest
from psycopg2.extensions import get_wait_callback, set_wait_callback

from db import database
from db.database import Unavailable, connection, rows
from tests.environment import configured
from tests.sql import Sql


@pytest.fixture(autouse=True)
def bound_again(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Binds are for the whole process: leave none of ours behind."""
    before = get_wait_callback()
    monkeypatch.setattr(database, "LATENESS", 0.1)
    values = {"db_connect_timeout": 1, "db_statement_timeout": 0.5}
    with configured(database_url=database_url, **values) as settings:
        database.bind(settings.database)
        yield
        if not database.database.is_closed():
            database.database.close()
    set_wait_callback(before)


def test_a_server_that_accepts_a_connection_and_never_answers_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://u@127.0.0.1:{silent.getsockname()[1]}/d"
        with configured(database_url=url, db_connect_timeout=1) as settings:
            database.bind(settings.database)
            with pytest.raises(Unavailable, match="no answer within 1 seconds"), connection():
                rows("SELECT 1")


def test_a_server_that_hangs_in_a_statement_is_unavailable_and_the_next_use_reconnects() -> None:
    with connection():
        [(backend,)] = rows("SELECT pg_backend_pid()")
    os.kill(backend, signal.SIGSTOP)
    try:
        with pytest.raises(Unavailable, match="no answer within"), connection():
            rows("SELECT 1")
    finally:
        os.kill(backend, signal.SIGCONT)
    with connection():
        [(another,)] = rows("SELECT pg_backend_pid()")
    assert another != backend


def test_the_server_ends_a_statement_that_takes_too_long() -> None:
    with pytest.raises(Unavailable, match="statement timeout"), connection():
        rows("SELECT pg_sleep(5)")


def test_a_migration_has_no_statement_timeout() -> None:
    with database.patiently(), connection():
        assert rows("SELECT pg_sleep(0.8)")


def test_the_statements_of_the_tests_themselves_may_take_longer(database_url: str) -> None:
    with closing(Sql(database_url)) as sql:
        assert sql.rows("SELECT 1 FROM pg_sleep(1)") == [(1,)]
