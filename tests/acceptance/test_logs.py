"""A run of the whole system with every fault: no log line contains private data."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from typing import Any

import psycopg2
import pytest
import redis
from psycopg2.extensions import parse_dsn

from cli.servers.postgres import Postgres
from cli.servers.valkey import Valkey
from runtime.redaction import masked
from tests.acceptance.telling import NAMES, WORDS, Run
from tests.hooks import Hooks
from tests.smtp import SmtpServer
from tests.system import System

# The master of the workers is Dramatiq's own and knows nothing of our settings.
MASTER = re.compile(r"\[[-\d :,]+\] \[PID \d+\] \[MainThread\] \[dramatiq\.MainProcess\] \[\w+\] ")


@pytest.fixture(scope="module")
def written(
    postgres_server: Postgres,
    module_database_url: str,
    redis_server: Valkey,
    mail_server: SmtpServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    """All that the processes of one run have written to stdout and stderr."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    mail_server.users["sender"] = WORDS["smtp"]
    with Hooks() as hooks:
        system = System(
            tmp_path_factory.mktemp("logs"),
            database_url=f"{module_database_url}&password={WORDS['database']}",
            redis_url=redis_server.url,
            smtp_url=f"smtp://sender:{WORDS['smtp']}@127.0.0.1:{mail_server.port}?starttls=off",
            auth="required",
            mail_from=f"{WORDS['sender']}@sender.example",
            unsubscribe_secret=WORDS["unsubscribe"],
            callback_allowed_networks="127.0.0.0/8",
            callback_max_attempts=2,
            callback_min_backoff=0.1,
            callback_max_backoff=0.1,
            max_attempts=2,
            breaker_threshold=1,
        )
        run = Run(system, mail_server, hooks)
        try:
            run.start()
            run.use()
            run.go_wrong()
            with _away(postgres_server, module_database_url):
                run.go_without_database()
            run.ended(run.post("batch"))
        finally:
            system.stop()
    return "".join(log.read_text() for log in sorted(system.directory.glob("*.log")))


@contextmanager
def _away(server: Postgres, url: str) -> Iterator[None]:
    """For everybody the database is closed."""
    name = parse_dsn(url)["dbname"]

    def admin(statement: str) -> None:
        with closing(psycopg2.connect(server.url_of("postgres"))) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute(statement)

    admin(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    admin(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    try:
        yield
    finally:
        admin(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


def _events(written: str) -> list[Any]:
    return [json.loads(line) for line in written.splitlines() if not MASTER.match(line)]


@pytest.mark.parametrize("name", NAMES)
def test_no_line_of_the_log_holds_a_secret_or_personal_data(written: str, name: str) -> None:
    found = [line for line in written.splitlines() if WORDS[name] in line]

    assert not found, f"{name} in {found[0]}"


def test_the_log_has_an_event_for_each_step_of_the_test(written: str) -> None:
    told = {event["event"] for event in _events(written)}

    assert told >= {"request", "notification.accepted", "notification.replayed", "notifications.sent"}
    assert told >= {"notification.retried", "notification.failed", "batch.accepted", "callback.created"}
    assert told >= {"template.stored", "suppression.added", "suppression.removed", "worker.started", "worker.stopped"}
    assert told >= {"request.unavailable", "database.unavailable", "breaker.opened", "breaker.closed"}


def test_the_log_masks_the_recipient_in_the_reply_of_a_mail_server(written: str) -> None:
    [opened] = [event for event in _events(written) if event["event"] == "breaker.opened"]

    assert opened["reason"] == f"rcpt: 421 4.3.0 <{masked(WORDS['deferred'] + '@recipient.example')}> too much, ***"


def test_each_line_of_the_log_is_json_with_time_level_event_and_process(written: str) -> None:
    for event in _events(written):
        assert datetime.fromisoformat(event["time"]).utcoffset() == timedelta(0), event
        assert event["time"].endswith("Z"), event
        assert event["level"] in {"info", "warning", "error", "critical"}, event
        assert event["event"], event
        assert re.fullmatch(r"(gunicorn|api|worker)/\d+", event["process"]), event


def test_the_log_lines_of_a_worker_lead_to_the_request_of_a_notification(written: str) -> None:
    events = _events(written)
    [sent, *_] = [e for e in events if e["event"] == "notifications.sent"]
    [accepted] = [e for e in events if e["event"] == "notification.accepted" and e["id"] == sent["ids"][0]]
    [request] = [e for e in events if e["event"] == "request" and e["request_id"] == accepted["request_id"]]

    assert (request["method"], request["route"], request["status"]) == ("POST", "/api/notifications", 201)
    assert request["client"] == 1
    assert request["milliseconds"] > 0


def test_health_checks_leave_no_log_line(written: str) -> None:
    routes = {event.get("route") for event in _events(written) if event["event"] == "request"}

    assert "/api/notifications" in routes
    assert None in routes
    assert "/readyz" not in routes
