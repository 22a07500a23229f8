"""Held notifications wait for evidence in a running system, also when workers are killed, and are sent once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from actors.reports import tokens
from api.resources.reports import MEDIA_TYPE
from tests.eventually import eventually
from tests.reporting import dsn, group
from tests.smtp import Drop, Hang, SmtpServer
from tests.system import System

pytestmark = pytest.mark.long

DOMAIN = "bounces.example.com"
ADDRESS = "ann@example.com"
WAITS = "SELECT count(*) FROM notifications WHERE status = 'pending' AND evidence_until > now()"

Start = Callable[..., System]


@pytest.fixture
def start(tmp_path: Path, database_url: str, redis_url: str, smtp_server: SmtpServer) -> Iterator[Start]:
    """Start the API and a worker with these settings."""
    urls = {"database_url": database_url, "redis_url": redis_url, "smtp_url": smtp_server.url}
    systems: list[System] = []

    def start(**settings: Any) -> System:
        systems.append(system := System(tmp_path, **urls, return_path_domain=DOMAIN, **settings))
        system.start_api()
        system.start_workers()
        return system

    yield start
    for system in systems:
        system.stop()


def hold(system: System) -> int:
    return int(system.client.notify(ADDRESS, onUncertain="hold").json["id"])


def test_a_notification_of_a_killed_worker_waits_until_a_report_proves_it_sent(
    start: Start, smtp_server: SmtpServer
) -> None:
    system = start()
    smtp_server.on("dot", Hang())
    id = hold(system)
    eventually(lambda: smtp_server.hanging == 1, within=30, saying=system.logs)
    system.workers.pop().kill()
    system.start_workers()
    eventually(lambda: system.sql.rows(WAITS) == [(1,)], within=60, saying=system.logs)

    [(secret,)] = system.sql.rows("SELECT report_secret FROM installation")
    path = tokens.return_path(tokens.token(id, secret.encode()), DOMAIN)
    said = dsn(group(ADDRESS, "delivered", "2.1.5"), to=path)
    assert system.client.request("POST", "/api/reports", said, {"Content-Type": MEDIA_TYPE}).status == 202

    eventually(lambda: system.sql.statuses([id]) == {"sent": 1}, within=60, saying=system.logs)
    assert [one["outcome"] for one in system.client.attempts(id)] == ["lost"]
    assert len(smtp_server.mails_to(ADDRESS)) <= 1


def test_a_held_notification_without_evidence_fails_after_its_wait_and_is_not_sent_again(
    start: Start, smtp_server: SmtpServer
) -> None:
    system = start(uncertain_wait=2)
    smtp_server.on("dot", Drop())
    id = hold(system)
    eventually(lambda: system.sql.statuses([id]) == {"failed": 1}, within=60, saying=system.logs)
    assert system.sql.rows("SELECT failure_reason, attempt_count FROM notifications") == [("outcome-unknown", 1)]
    assert [one["outcome"] for one in system.client.attempts(id)] == ["uncertain"]
    assert len(smtp_server.mails_to(ADDRESS)) <= 1
