"""The whole system on the distribution's PostgreSQL and Redis."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.smtp import SmtpServer
from tests.system import System

MANY = 50


@pytest.fixture
def system(tmp_path: Path, stock_database_url: str, stock_redis_url: str, smtp_server: SmtpServer) -> Iterator[System]:
    """The API and a group of workers."""
    running = System(tmp_path, database_url=stock_database_url, redis_url=stock_redis_url, smtp_url=smtp_server.url)
    try:
        running.start_api()
        running.start_workers()
        yield running
    finally:
        running.stop()


def test_accepted_notifications_are_delivered_once(system: System, smtp_server: SmtpServer) -> None:
    client = system.client
    for number in range(MANY):
        sent = client.post(
            "/api/notifications",
            {"type": "email", "recipient": f"anna{number}@example.com", "subject": "Grüße", "message": "Schön"},
        )
        assert sent.status == 201
    eventually(lambda: len(smtp_server.mails) >= MANY, within=30, saying=system.logs)
    assert len(smtp_server.mails) == MANY
