"""`notify bounces` as a process: reports over SMTP and LMTP."""

from __future__ import annotations

import smtplib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from actors.reports import tokens
from actors.reports.keys import ReportKeys
from actors.reports.reader import ReportReader
from cli.servers.postgres import Postgres
from db import database, lifecycle
from settings import Settings
from tests import bouncing
from tests.bouncing import BounceServer
from tests.integration.api import NOWHERE
from tests.integration.rows import GRACE, WORKER, accepted, attempt, row
from tests.reporting import dsn, group
from tests.sql import Sql
from tests.system import System

DOMAIN = "bounces.example.com"
GONE = group("a@example.com", said="550 5.1.1 User unknown")
FEEDBACK = "fbl@example.com"


@contextmanager
def serving(directory: Path, database_url: str, *words: str) -> Iterator[BounceServer]:
    """Run the server on a database until the end of the block."""
    system = System(directory, database_url=database_url, redis_url="redis://127.0.0.1:9", smtp_url=NOWHERE)
    with bouncing.serving(directory, system.environ, *words) as server:
        yield server


@pytest.fixture
def keys(store: Settings) -> ReportKeys:
    return ReportKeys.load(store.reports)


def sent() -> int:
    [held] = lifecycle.claim(accepted(), WORKER)
    assert lifecycle.settle([lifecycle.sent(held, attempt())], GRACE, time.monotonic())
    return held.id


def path(id: int, keys: ReportKeys) -> str:
    return tokens.return_path(tokens.token(id, keys.keys[0]), DOMAIN)


def test_a_report_over_smtp_is_stored_before_it_is_acknowledged(
    store: Settings, keys: ReportKeys, tmp_path: Path
) -> None:
    id = sent()
    with serving(tmp_path, store.database.url) as server, server.client() as client:
        assert client.sendmail("", [path(id, keys).upper()], dsn(GONE)) == {}
        assert database.rows("SELECT source, state FROM reports") == [("smtp", "new")]
    ReportReader(keys).turn()
    assert row(id)["delivery_status"] == "bounced"


def test_an_address_that_is_no_return_path_is_refused_as_unknown(
    store: Settings, keys: ReportKeys, tmp_path: Path
) -> None:
    forged = tokens.return_path(tokens.token(sent(), b"guessed"), DOMAIN)
    with serving(tmp_path, store.database.url, "--accept", FEEDBACK) as server, server.client() as client:
        client.mail("")
        assert [client.rcpt(one)[0] for one in (forged, "ann@example.com", "FBL@Example.com")] == [550, 550, 250]
    assert database.rows("SELECT count(*) FROM reports") == [(0,)]


def test_over_lmtp_each_recipient_has_a_reply(store: Settings, keys: ReportKeys, tmp_path: Path) -> None:
    with serving(tmp_path, store.database.url, "--lmtp") as server, server.client(smtplib.LMTP) as client:
        # The client of the standard library reads one reply only.
        assert client.sendmail("", [path(sent(), keys), path(sent(), keys)], dsn(GONE)) == {}
        assert client.getreply()[0] == 250
    assert database.rows("SELECT count(*) FROM reports") == [(1,)]


def test_a_large_report_is_truncated(store: Settings, keys: ReportKeys, tmp_path: Path) -> None:
    id = sent()
    with serving(tmp_path, store.database.url) as server, server.client() as client:
        client.sendmail("", [path(id, keys)], dsn(GONE).replace(b"\n", b"\r\n") + (b"x" * 5_000 + b"\r\n") * 300)
    ReportReader(keys).turn()
    assert row(id)["delivery_status"] == "bounced"


def test_a_killed_server_loses_no_report_that_it_acknowledged(
    store: Settings, keys: ReportKeys, tmp_path: Path
) -> None:
    ids = [sent() for _ in range(5)]
    with serving(tmp_path, store.database.url) as server:
        for id in ids:
            with server.client() as client:
                client.sendmail("", [path(id, keys)], dsn(GONE))
        server.group.kill()
    ReportReader(keys).turn()
    assert [row(id)["delivery_status"] for id in ids] == ["bounced"] * 5


def test_sigterm_stops_the_server_in_order(store: Settings, tmp_path: Path) -> None:
    with serving(tmp_path, store.database.url) as server:
        assert server.group.stop() == 0
        assert server.events[-1]["event"] == "bounces.stopped"


def test_a_report_is_deferred_while_the_database_is_away(
    own_store: Settings, postgres_server: Postgres, tmp_path: Path
) -> None:
    to = path(1, ReportKeys.load(own_store.reports))
    [(name,)] = database.rows("SELECT current_database()")
    database.database.close()
    elsewhere = Sql(postgres_server.url_of("postgres"))
    with serving(tmp_path, own_store.database.url) as server, server.client() as client:
        assert client.sendmail("", [to], dsn(GONE)) == {}
        elsewhere.rows(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        elsewhere.rows("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", name)
        with pytest.raises(smtplib.SMTPDataError) as refused:
            client.sendmail("", [to], dsn(GONE))
        assert refused.value.smtp_code == 451
        elsewhere.rows(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        assert client.sendmail("", [to], dsn(GONE)) == {}
