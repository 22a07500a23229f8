"""Mails of a running system carry what a report about them must show."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.reports import tokens
from tests.eventually import eventually
from tests.smtp import SmtpServer
from tests.system import System

DOMAIN = "bounces.example.com"


@pytest.fixture
def system(tmp_path: Path, database_url: str, redis_url: str, smtp_server: SmtpServer) -> Iterator[System]:
    urls = {"database_url": database_url, "redis_url": redis_url, "smtp_url": smtp_server.url}
    system = System(tmp_path, **urls, return_path_domain=DOMAIN)
    try:
        system.start_api()
        system.start_workers()
        yield system
    finally:
        system.stop()


def test_the_return_path_of_a_mail_carries_its_token(system: System, smtp_server: SmtpServer) -> None:
    id = int(system.client.notify("ann@example.com").json["id"])
    [mail] = eventually(lambda: smtp_server.mails_to("ann@example.com"), within=30, saying=system.logs)
    [(secret,)] = system.sql.rows("SELECT report_secret FROM installation")
    assert mail.sender == tokens.return_path(tokens.token(id, secret.encode()), DOMAIN)
    assert mail.message_id.startswith(f"<{id}.")
