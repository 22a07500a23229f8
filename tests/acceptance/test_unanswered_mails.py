"""Reports settle a thousand unknown outcomes in a running system: nothing is sent twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.reports import tokens
from api.resources.reports import MEDIA_TYPE
from tests.client import NOTIFICATIONS
from tests.eventually import eventually
from tests.reporting import dsn, group
from tests.smtp import Drop, SmtpServer
from tests.system import System

pytestmark = pytest.mark.long

MANY = 1_000
DOMAIN = "bounces.example.com"


@pytest.fixture
def system(tmp_path: Path, database_url: str, redis_url: str, smtp_server: SmtpServer) -> Iterator[System]:
    urls = {"database_url": database_url, "redis_url": redis_url, "smtp_url": smtp_server.url}
    # Long enough for reports to come before another attempt; the breaker stays closed.
    system = System(
        tmp_path,
        **urls,
        return_path_domain=DOMAIN,
        retry_min_backoff=3_600,
        retry_max_backoff=7_200,
        breaker_threshold=10_000,
    )
    try:
        system.start_api()
        system.start_workers()
        yield system
    finally:
        system.stop()


def accepted(system: System) -> list[int]:
    """Return the ids of MANY notifications."""
    items = [{"type": "email", "recipient": f"taken{number}@example.com", "message": "Hi"} for number in range(MANY)]
    answer = system.client.post(f"{NOTIFICATIONS}/batch", {"items": items})
    assert answer.status == 201, answer
    return [int(item["id"]) for item in answer.json["items"]]


def test_uncertain_mails_become_sent_by_their_reports(system: System, smtp_server: SmtpServer) -> None:
    smtp_server.on("dot", Drop(), times=None)
    ids = accepted(system)
    uncertain = "SELECT count(*) FROM attempts WHERE outcome = 'uncertain'"
    eventually(lambda: system.sql.rows(uncertain) == [(MANY,)], within=100, saying=system.logs)
    [(secret,)] = system.sql.rows("SELECT report_secret FROM installation")

    with system.client as client:
        for number, id in enumerate(ids):
            path = tokens.return_path(tokens.token(id, secret.encode()), DOMAIN)
            said = group(f"taken{number}@example.com", "delivered", "2.1.5")
            answer = client.request("POST", "/api/reports", dsn(said, to=path), {"Content-Type": MEDIA_TYPE})
            assert answer.status == 202

    eventually(lambda: system.sql.statuses(ids) == {"sent": MANY}, within=100, saying=system.logs)
    copies = Counter(refusal.recipients for refusal in smtp_server.refusals)
    assert set(copies.values()) == {1}
    proved = "SELECT count(*), count(report_id), max(number) FROM attempts"
    assert system.sql.rows(proved) == [(MANY, MANY, 1)]
    assert system.sql.rows("SELECT DISTINCT delivery_status FROM notifications") == [("delivered",)]
