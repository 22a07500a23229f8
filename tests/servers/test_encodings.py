"""Text and times do not depend on settings of the database, its role or the environment; unusable databases are
refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.main import notify as command
from tests.environment import configured
from tests.eventually import eventually
from tests.queries import Queries
from tests.servers.running import notify, notify_process, starts
from tests.servers.stock_postgres import ROLE, StockPostgres
from tests.smtp import Reply, SmtpServer
from tests.system import System

pytestmark = pytest.mark.long

# The encoding of a database, and a locale that goes with it.
OTHERS = {"SQL_ASCII": "LOCALE 'C'", "LATIN1": "LOCALE 'C'", "WIN1252": "LOCALE 'C'", "EUC_JP": "LOCALE 'C'"}
# What `ALTER ROLE ... SET` says, and we must not notice.
ROLE_SETTINGS = {
    "client_encoding": "'LATIN1'",
    "timezone": "'Asia/Kolkata'",
    "datestyle": "'SQL, DMY'",
    "intervalstyle": "'iso_8601'",
    "bytea_output": "'escape'",
    "standard_conforming_strings": "off",
    "extra_float_digits": "-15",
    "array_nulls": "off",
    "default_transaction_isolation": "'serializable'",
    "default_transaction_deferrable": "on",
    "lock_timeout": "1",
    "statement_timeout": "50",
    "idle_session_timeout": "500",
    "idle_in_transaction_session_timeout": "5000",
    "transform_null_equals": "on",
}
TEXT = "Grüße: ¥ 東京 🙂 \\ ' \" %s"


@pytest.mark.parametrize("encoding", OTHERS)
def test_a_database_that_cannot_hold_every_text_is_not_migrated(stock_postgres: StockPostgres, encoding: str) -> None:
    with stock_postgres.empty(encoding, OTHERS[encoding]) as url:
        for words in ((), ("--after",), ("--plan",)):
            ran = notify(url, "migrate", *words)
            assert ran.code == 4
            assert f"has the encoding {encoding}" in ran.said
            assert "ENCODING 'UTF8' TEMPLATE template0" in ran.said


def test_no_program_starts_on_a_database_that_cannot_hold_every_text(
    stock_postgres: StockPostgres, stock_redis_url: str, tmp_path: Path
) -> None:
    encoding = "has the encoding LATIN1"
    with stock_postgres.empty("LATIN1", OTHERS["LATIN1"]) as url:
        ran = notify_process(url, "up", DATA_DIR=str(tmp_path / "data"))
        assert ran.code != 0
        assert encoding in ran.said
        assert "Traceback" not in ran.said
        for ran in starts(tmp_path, url, stock_redis_url).values():
            assert ran.said.count("cannot start: ") == 1
            assert encoding in ran.said
        with configured(database_url=url, redis_url="redis://127.0.0.1:9/0"):
            told = CliRunner().invoke(command, ["doctor"])
        assert told.exit_code == 1
        assert encoding in " ".join(told.stdout.split())


def test_a_role_may_have_any_statement_timeout(stock_postgres: StockPostgres, stock_database_url: str) -> None:
    from db import database  # noqa: PLC0415 - after REDIS_URL has been set

    with role_with(stock_postgres, {"statement_timeout": "1"}), configured(database_url=stock_database_url) as chosen:
        database.bind(chosen.database)
        for _ in range(200):
            with database.connection():
                assert database.rows("SHOW statement_timeout") == [("10s",)]
            database.database.close()


@contextmanager
def role_with(server: StockPostgres, settings: dict[str, str]) -> Iterator[None]:
    for name, value in settings.items():
        server.run(f"ALTER ROLE {ROLE} SET {name} = {value}")
    try:
        yield
    finally:
        server.run(f"ALTER ROLE {ROLE} RESET ALL")


def sent(system: System, smtp_server: SmtpServer, count: int) -> list[Any]:
    """Send mails with text of every kind, alone and in a batch; return those sent alone, once all are sent."""
    before = len(smtp_server.mails)
    mail = {"type": "email", "recipient": "anna@example.com", "subject": TEXT, "message": TEXT, "metadata": {"a": TEXT}}
    ids = []
    for number in range(count):
        answer = system.client.post("/api/notifications", {**mail, "tags": [f"ü{number}"]})
        assert answer.status == 201, answer
        ids.append(answer.json["id"])
    answer = system.client.post("/api/notifications/batch", {"items": [mail] * count})
    assert answer.status in (200, 201, 207), answer
    eventually(lambda: len(smtp_server.mails) >= before + 2 * count, within=60, saying=system.logs)
    return [eventually(lambda id=id: _finished(system, id), within=60, saying=system.logs) for id in ids]  # type: ignore[misc]


def _finished(system: System, id: int) -> Any:
    one = system.client.notification(id)
    return one if one["status"] == "sent" else None


def test_nothing_that_a_role_sets_changes_what_is_stored_or_read(
    stock_postgres: StockPostgres,
    stock_database_url: str,
    stock_redis_url: str,
    smtp_server: SmtpServer,
    tmp_path: Path,
) -> None:
    database = stock_database_url.rpartition("/")[2]
    with role_with(stock_postgres, ROLE_SETTINGS):
        system = System(
            tmp_path,
            database_url=stock_database_url,
            redis_url=stock_redis_url,
            smtp_url=smtp_server.url,
            pgclientencoding="LATIN1",
            pgtz="America/New_York",
            pgdatestyle="German",
        )
        # The test's own questions are not what the settings are to disturb.
        system.sql = Queries(stock_postgres.superuser_url(database))
        try:
            system.start_api()
            system.start_workers()
            found = sent(system, smtp_server, 20)
        finally:
            system.stop()
    [(now,)] = stock_postgres.run("SELECT now()", database=database)
    for one in found:
        assert (one["subject"], one["message"], one["metadata"]) == (TEXT, TEXT, {"a": TEXT})
        for name in ("createdAt", "finishedAt"):
            assert one[name].endswith("Z")
            assert abs((datetime.fromisoformat(one[name]) - now).total_seconds()) < 600
    stored = stock_postgres.run("SELECT DISTINCT subject FROM notifications", database=database)
    assert stored == [(TEXT,)]
    assert len(smtp_server.mails) == 40
    assert '"level":"error"' not in system.logs()


def test_the_replies_of_a_mail_server_are_stored_whatever_the_client_encoding_is(
    stock_postgres: StockPostgres,
    stock_database_url: str,
    stock_redis_url: str,
    smtp_server: SmtpServer,
    tmp_path: Path,
) -> None:
    with role_with(stock_postgres, {"client_encoding": "'SQL_ASCII'"}):
        system = System(
            tmp_path,
            database_url=stock_database_url,
            redis_url=stock_redis_url,
            smtp_url=smtp_server.url,
            pgclientencoding="LATIN1",
        )
        try:
            system.start_api()
            system.start_workers()
            smtp_server.on("dot", Reply(450, "4.0.0 später für Anna: 東京"))
            smtp_server.on("dot", Reply(250, "2.0.0 angenommen für Anna: 東京"))
            answer = system.client.notify("anna@example.com")
            eventually(lambda: _finished(system, answer.json["id"]), within=60, saying=system.logs)
        finally:
            system.stop()
    assert len(smtp_server.mails) == 1
    stored = stock_postgres.run(
        "SELECT text FROM attempts ORDER BY number", database=stock_database_url.rpartition("/")[2]
    )
    assert "später für Anna: 東京" in stored[0][0]


SESSION = {
    "client_encoding": "UTF8",
    "timezone": "UTC",
    "datestyle": "ISO, DMY",
    "intervalstyle": "postgres",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
    "extra_float_digits": "1",
    "array_nulls": "on",
    "transaction_isolation": "read committed",
    "lock_timeout": "0",
    "statement_timeout": "10s",
}


@pytest.mark.parametrize("query", ["", "?pgbouncer=true"])
def test_every_session_has_the_settings_of_the_project(
    stock_postgres: StockPostgres, stock_database_url: str, query: str
) -> None:
    from db import database  # noqa: PLC0415 - after REDIS_URL has been set

    with (
        role_with(stock_postgres, ROLE_SETTINGS),
        configured(database_url=stock_database_url + query) as settings,
    ):
        database.bind(settings.database)
        try:
            with database.connection():
                alone = {name: database.rows(f"SHOW {name}") for name in SESSION}
                with database.database.atomic():
                    together = {name: database.rows(f"SHOW {name}") for name in SESSION}
                with database.lasting(77):
                    [(lasting,)] = database.rows("SHOW statement_timeout")
                [(after,)] = database.rows("SHOW statement_timeout")
                assert database.rows("SELECT %s::float8, '{NULL}'::text[], %s::text", 0.1 + 0.2, TEXT) == [
                    (0.1 + 0.2, [None], TEXT)
                ]
        finally:
            database.database.close()
    expected = {name: [(value,)] for name, value in SESSION.items()}
    assert alone == expected
    assert together == expected
    assert (lasting, after) == ("77s", "10s")


def test_a_statement_timeout_is_in_force_behind_a_pooler_too(stock_database_url: str) -> None:
    from db import database  # noqa: PLC0415 - after REDIS_URL has been set

    with configured(database_url=f"{stock_database_url}?pgbouncer=true", db_statement_timeout=0.2) as settings:
        database.bind(settings.database)
        try:
            with pytest.raises(database.Unavailable, match="statement timeout"), database.connection():
                database.rows("SELECT pg_sleep(30)")
        finally:
            database.database.close()
