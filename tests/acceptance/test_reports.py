"""Reports settle unknown outcomes in a running system: nothing is sent twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.reports import tokens
from api.resources.reports import MEDIA_TYPE
from tests.eventually import eventually
from tests.reporting import dsn, group
from tests.smtp import Drop, SmtpServer
from tests.system import System

MANY = 30
DOMAIN = "bounces.example.com"


@pytest.fixture
def system(tmp_path: Path, database_url: str, redis_url: str, smtp_server: SmtpServer) -> Iterator[System]:
    urls = {"database_url": database_url, "redis_url": redis_url, "smtp_url": smtp_server.url}
    # Long enough for reports to come before another attempt.
    system = System(tmp_path, **urls, return_path_domain=DOMAIN, retry_min_backoff=600, retry_max_backoff=900)
    try:
        system.start_api()
        system.start_workers()
        yield system
    finally:
        system.stop()


def test_uncertain_mails_become_sent_by_their_reports(system: System, smtp_server: SmtpServer) -> None:
    smtp_server.on("dot", Drop(), times=None)
    ids = [int(system.client.notify(f"taken{n}@example.com").json["id"]) for n in range(MANY)]
    uncertain = "SELECT count(*) FROM attempts WHERE outcome = 'uncertain'"
    eventually(lambda: system.sql.rows(uncertain) == [(MANY,)], within=60, saying=system.logs)
    [(secret,)] = system.sql.rows("SELECT report_secret FROM installation")

    for id in ids:
        path = tokens.return_path(tokens.token(id, secret.encode()), DOMAIN)
        said = group(f"taken{ids.index(id)}@example.com", "delivered", "2.1.5")
        answer = system.client.request("POST", "/api/reports", dsn(said, to=path), {"Content-Type": MEDIA_TYPE})
        assert answer.status == 202

    eventually(lambda: system.sql.statuses(ids) == {"sent": MANY}, within=60, saying=system.logs)
    proved = "SELECT count(*), count(report_id), max(number) FROM attempts"
    assert system.sql.rows(proved) == [(MANY, MANY, 1)]
    assert system.sql.rows("SELECT DISTINCT delivery_status FROM notifications") == [("delivered",)]


def test_the_return_path_of_a_mail_carries_its_token(system: System, smtp_server: SmtpServer) -> None:
    id = int(system.client.notify("ann@example.com").json["id"])
    [mail] = eventually(lambda: smtp_server.mails_to("ann@example.com"), within=30, saying=system.logs)
    [(secret,)] = system.sql.rows("SELECT report_secret FROM installation")
    assert mail.sender == tokens.return_path(tokens.token(id, secret.encode()), DOMAIN)
    assert mail.message_id.startswith(f"<{id}.")
