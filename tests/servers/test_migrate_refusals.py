"""Tests of a refused `notify migrate` and of programs that cannot start: one sentence tells why, and the fix."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from db import database, fitness, migrations
from tests.environment import configured
from tests.servers.running import Ran, notify, starts
from tests.servers.stock_postgres import ROLE, StockPostgres

pytestmark = pytest.mark.long


@pytest.fixture
def server(stock_postgres: StockPostgres) -> StockPostgres:
    return stock_postgres


@pytest.fixture
def url(server: StockPostgres) -> Iterator[str]:
    """DATABASE_URL of an empty database."""
    with server.empty() as url:
        yield url


def name_of(url: str) -> str:
    return url.rpartition("/")[2]


def refused(ran: Ran, code: int, *words: str) -> None:
    assert ran.code == code, ran
    assert "Traceback" not in ran.said, ran
    assert "Pa%" not in ran.said
    [sentence] = [line for line in ran.said.splitlines() if line.startswith("Error: ")]
    for word in words:
        assert word in sentence


@pytest.mark.parametrize("words", [(), ("--after",)])
def test_a_role_that_may_not_create_is_told_what_to_grant(server: StockPostgres, url: str, words: tuple[str]) -> None:
    name = name_of(url)
    # As a database is whose owner is somebody else: since PostgreSQL 15 only that one may create in public.
    server.run(f"ALTER DATABASE {name} OWNER TO postgres")
    refused(
        *(notify(url, "migrate", *words), 4, "the role notify may not make tables in the schema public"),
        "GRANT USAGE, CREATE ON SCHEMA public TO notify",
    )
    assert notify(url, "migrate", "--plan").code == 0
    server.run("GRANT USAGE, CREATE ON SCHEMA public TO notify", database=name)
    assert notify(url, "migrate", *words).code == 0


FOREIGN = {
    "table": "CREATE TABLE notifications (id int)",
    "view": "CREATE VIEW attempts AS SELECT 1 AS id",
    "type": "CREATE TYPE clients AS ENUM ('a')",
    "function": "CREATE FUNCTION keep_audit() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "steps": "CREATE TABLE schema_steps (id int)",
    "migrations": "CREATE TABLE schema_migration (version int)",
    "view of migrations": "CREATE VIEW schema_migration AS SELECT 1 AS version",
}


@pytest.mark.parametrize("what", FOREIGN)
def test_a_foreign_object_with_a_needed_name_is_reported(server: StockPostgres, url: str, what: str) -> None:
    server.run(f"SET ROLE {ROLE}; {FOREIGN[what]}", database=name_of(url))
    refused(notify(url, "migrate"), 4, "has a name that this one needs", "CREATE SCHEMA notify")
    server.run(f"SET ROLE {ROLE}; CREATE SCHEMA own", database=name_of(url))
    assert notify(f"{url}?schema=own", "migrate").code == 0


def test_the_migrations_of_another_program_are_reported(server: StockPostgres, url: str) -> None:
    server.run(
        f"SET ROLE {ROLE}; CREATE TABLE schema_migration (id serial, name text, applied timestamp);"
        "INSERT INTO schema_migration (name, applied) VALUES ('0001_users', now())",
        database=name_of(url),
    )
    refused(notify(url, "migrate"), 4, "lists 0001_users, which is no migration of this system")
    refused(notify(url, "migrate", "--plan"), 4, "0001_users")


def test_tables_of_another_owner_are_reported(server: StockPostgres, url: str) -> None:
    name = name_of(url)
    assert notify(url, "migrate").code == 0
    server.run(
        "DELETE FROM schema_migration WHERE name LIKE '0017%'; ALTER TABLE workers OWNER TO postgres;"
        "GRANT ALL ON workers TO notify",
        database=name,
    )
    refused(notify(url, "migrate"), 4, "0017", "must be owner of table workers", "run it as the role that owns")


@pytest.mark.parametrize("words", [(), ("--after",), ("--plan",)])
def test_a_missing_database_and_a_wrong_password_are_reported_with_their_fix(
    server: StockPostgres, words: tuple[str]
) -> None:
    refused(notify(server.url_of("nope"), "migrate", *words), 3, 'database "nope" does not exist', "create it")
    refused(
        *(notify(server.url_of("postgres", password="wrong"), "migrate", *words), 3, "password authentication failed"),
        "correct the user and password in DATABASE_URL",
    )


def test_with_several_hosts_the_refusal_of_the_answering_host_is_reported(server: StockPostgres) -> None:
    url = server.url_of("postgres", password="wrong").replace("@127.0.0.1", "@127.0.0.1:9,127.0.0.1")
    refused(
        notify(url, "migrate"), 3, "password authentication failed", "correct the user and password in DATABASE_URL"
    )


def test_a_read_only_server_is_reported(server: StockPostgres, url: str) -> None:
    server.run(f"ALTER DATABASE {name_of(url)} SET default_transaction_read_only = on")
    refused(notify(url, "migrate"), 4, "the server takes no writes: end default_transaction_read_only")


@pytest.mark.parametrize("path", ["''", "nowhere"])
def test_a_search_path_without_any_existing_schema_is_reported(server: StockPostgres, url: str, path: str) -> None:
    server.run(f"ALTER DATABASE {name_of(url)} SET search_path = {path}")
    refused(notify(url, "migrate"), 4, "no schema of the search_path", "write ?schema=NAME in DATABASE_URL")
    assert notify(f"{url}?schema=public", "migrate").code == 0


def test_a_setting_that_the_server_refuses_is_reported(url: str) -> None:
    refused(
        notify(f"{url}?options=-cnonsense%3D1", "migrate"), 4, "DATABASE_URL sets what the server refuses", "nonsense"
    )
    refused(notify(f"{url}?options=-cwork_mem%3Dmuch", "migrate"), 4, "work_mem")
    refused(notify(f"{url}?options=-clog_statement%3Dall", "migrate"), 4, "log_statement")
    refused(notify(f"{url}?options=-crole%3Dpostgres", "migrate"), 4, "role")


def test_a_server_that_is_too_old_is_reported(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitness, "OLDEST", 99)
    with configured(database_url=url) as settings:
        database.bind(settings.database)
        try:
            with pytest.raises(fitness.Unusable, match="which is too old: use 99 or newer"):
                migrations.migrate()
        finally:
            database.database.close()


def test_an_installation_hidden_by_another_schema_is_not_installed_again(server: StockPostgres, url: str) -> None:
    assert notify(url, "migrate").code == 0
    # Of the name of the role, so it comes first in the search_path that PostgreSQL has by default.
    server.run(f"CREATE SCHEMA {ROLE} AUTHORIZATION {ROLE}", database=name_of(url))
    refused(notify(url, "migrate"), 4, "the schema public has the tables", "write ?schema=public in DATABASE_URL")
    assert notify(f"{url}?schema=public", "migrate").said == "nothing to apply\n"
    assert "applied: 0001" in notify(f"{url}?schema={ROLE}", "migrate").said


UNFIT = {
    "ALTER DATABASE {} SET default_transaction_read_only = on": "the server takes no writes",
    "ALTER DATABASE {} SET search_path = ''": "no schema of the search_path",
    "REVOKE UPDATE ON notifications FROM notify": "the role notify may not read and write notifications",
    "REVOKE SELECT ON schema_migration FROM notify": "the table schema_migration cannot be read",
}


@pytest.mark.parametrize("statement", UNFIT)
def test_programs_do_not_start_on_an_unusable_database(
    server: StockPostgres, stock_database_url: str, stock_redis_url: str, tmp_path: Path, statement: str
) -> None:
    server.run(statement.format(name_of(stock_database_url)), database=name_of(stock_database_url))
    for ran in starts(tmp_path, stock_database_url, stock_redis_url).values():
        assert UNFIT[statement] in ran.said
        assert "Traceback" not in ran.said
        assert ran.said.count("cannot start: ") == 1
