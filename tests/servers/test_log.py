"""Tests of PostgreSQL's log: a failed statement leaves no text of a message there if the role is set as documented."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import psycopg2
import pytest

from db import lifecycle
from db.database import Contended, Unacceptable, Unavailable, bind, connection, database, rows
from db.records import Draft
from tests.environment import configured
from tests.eventually import eventually
from tests.integration.rows import GRACE
from tests.servers.stock_postgres import ROLE, StockPostgres

SECRETS = ("nobody-knows@example.com", "Your diagnosis", "The test was positive")
DRAFT = Draft("email", *SECRETS, None)
# What docs/security.md tells a superuser to do.
QUIET = (
    "ALTER ROLE {} SET log_min_error_statement = panic",
    "ALTER ROLE {} SET log_error_verbosity = terse",
    "ALTER ROLE {} SET log_min_duration_statement = -1",
    "ALTER ROLE {} SET log_statement = none",
)


@pytest.fixture
def url(stock_postgres: StockPostgres, stock_database_url: str) -> Iterator[str]:
    """DATABASE_URL; the role may be altered for the time of a test."""
    with configured(database_url=stock_database_url) as settings:
        bind(settings.database)
        try:
            yield stock_database_url
        finally:
            database.close()
            stock_postgres.run(f"ALTER ROLE {ROLE} RESET ALL")


@pytest.fixture
def quiet(stock_postgres: StockPostgres, url: str) -> str:
    """The role is as documented."""
    for command in QUIET:
        stock_postgres.run(command.format(ROLE))
    return url


def accept() -> None:
    with connection():
        lifecycle.accept([DRAFT] * 3, GRACE)


def refused(postgres: StockPostgres, url: str) -> None:
    """INSERT was revoked."""
    postgres.run("REVOKE INSERT ON notifications FROM notify", database=name_of(url))
    with suppress(Exception):
        accept()


def raised(postgres: StockPostgres, url: str) -> None:
    """Accept a notification while the INSERT fails as on a full disk."""
    postgres.run(
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = 'disk_full'; END$$;"
        " CREATE TRIGGER full_disk BEFORE INSERT ON notifications FOR EACH ROW EXECUTE FUNCTION full_disk()",
        database=name_of(url),
    )
    with suppress(Unavailable):
        accept()


def constrained(postgres: StockPostgres, url: str) -> None:
    """A row that breaks a CHECK, which PostgreSQL quotes."""
    postgres.run("ALTER TABLE notifications ADD CHECK (message = '')", database=name_of(url))
    with suppress(Unacceptable):
        accept()


def timed_out(postgres: StockPostgres, url: str) -> None:
    """The table is locked for longer than a statement may take."""
    with closing(connected(url)) as holder, connection():
        holder.cursor().execute("LOCK TABLE notifications")
        rows("SET statement_timeout = 100")
        with suppress(Contended, Unavailable):
            accept()


def deadlocked(_postgres: StockPostgres, url: str) -> None:
    """Two transactions wait for each other's row."""
    accept()
    with closing(connected(url)) as one, closing(connected(url)) as other:
        update(one, 1)
        update(other, 2)
        waits = threading.Thread(target=update, args=(one, 2))
        waits.start()
        update(other, 1)
        for session in (one, other):
            with suppress(psycopg2.Error):
                session.rollback()
        waits.join()


def outrun(_postgres: StockPostgres, url: str) -> None:
    """A transaction that must not see what another one has changed since."""
    accept()
    with closing(connected(url)) as one, closing(connected(url)) as other:
        one.set_session(isolation_level="SERIALIZABLE")
        one.cursor().execute("SELECT count(*) FROM notifications")
        update(other, 1)
        other.commit()
        update(one, 1)


def connected(url: str) -> Any:
    return psycopg2.connect(url)


def update(session: Any, id: int) -> None:
    with suppress(psycopg2.Error):
        session.cursor().execute("UPDATE notifications SET message = %s WHERE id = %s", (SECRETS[2], id))


def name_of(url: str) -> str:
    return url.rpartition("/")[2]


FAILURES: dict[Callable[[StockPostgres, str], None], str] = {
    refused: "permission denied",
    raised: "no space left",
    constrained: "violates check constraint",
    timed_out: "statement timeout",
    deadlocked: "deadlock detected",
    outrun: "could not serialize",
}


@pytest.mark.parametrize("fail", FAILURES)
def test_a_failed_statement_leaves_no_message_in_the_log_of_postgresql(
    fail: Callable[[StockPostgres, str], None], stock_postgres: StockPostgres, quiet: str
) -> None:
    before = len(stock_postgres.log)
    fail(stock_postgres, quiet)
    eventually(lambda: FAILURES[fail] in stock_postgres.log[before:], saying=lambda: stock_postgres.log[before:])

    written = stock_postgres.log[before:]
    assert not [secret for secret in SECRETS if secret in written], written


def test_an_ordinary_role_cannot_change_the_logging_itself(url: str) -> None:
    for command in QUIET:
        with closing(connected(url)) as session, pytest.raises(psycopg2.errors.InsufficientPrivilege):
            session.cursor().execute(command.format("CURRENT_USER"))


def test_the_log_contains_the_message_without_the_documented_setting_of_the_role(
    stock_postgres: StockPostgres, url: str
) -> None:
    before = len(stock_postgres.log)
    raised(stock_postgres, url)
    eventually(lambda: SECRETS[2] in stock_postgres.log[before:])
