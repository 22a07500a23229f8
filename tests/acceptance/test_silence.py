"""A provider falls silent in a running system: one of several workers tells, once, whoever is killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.eventually import eventually
from tests.hooks import OK, Hooks, saying, status
from tests.scrapes import scraped
from tests.smtp import SmtpServer
from tests.system import System

pytestmark = pytest.mark.long

SILENT = """
INSERT INTO history (client_id, dimension, hour, value, outcome, class, number)
SELECT 0, 'provider', date_trunc('hour', now(), 'UTC') - ago * interval '1 hour', %s, outcome, 0, 100
FROM generate_series(0, 240) AS ago, (VALUES ('sent'), ('reported')) AS o (outcome)
WHERE outcome = 'sent' OR ago > 5 RETURNING 1
"""


@pytest.fixture
def system(tmp_path: Path, database_url: str, redis_url: str, smtp_server: SmtpServer) -> Iterator[System]:
    urls = {"database_url": database_url, "redis_url": redis_url, "smtp_url": smtp_server.url}
    quick: dict[str, Any] = {"callback_min_backoff": 0.2, "callback_max_backoff": 1, "metrics_cache": 0}
    system = System(tmp_path, **urls, **quick, callback_allowed_networks="127.0.0.0/8")
    try:
        yield system
    finally:
        system.stop()


def test_a_silence_is_told_once_although_every_worker_that_noticed_it_is_killed(
    system: System, smtp_server: SmtpServer
) -> None:
    system.start_api()
    provider = smtp_server.url.removeprefix("smtp://")
    system.sql.rows(SILENT, provider)
    with Hooks() as hooks:
        hooks.answer = status(500)
        wanted = {"url": hooks.url, "events": ["provider.silent", "provider.heard"]}
        assert system.client.post("/api/callbacks", wanted).status == 201
        noticed = "SELECT 1 FROM providers WHERE name = %s AND silent_since IS NOT NULL"
        for _ in range(3):
            workers = system.start_workers(processes=2)
            eventually(lambda: system.sql.rows(noticed, provider), within=60, saying=system.logs)
            workers.kill()
        hooks.answer = saying(OK)
        system.start_workers(processes=2)
        done = "SELECT count(*) FROM notifications WHERE type = 'callback' AND status = 'sent'"
        eventually(lambda: system.sql.rows(done) == [(1,)], within=60, saying=system.logs)
        assert len({post.headers["webhook-id"] for post in hooks.posts}) == 1
        assert hooks.posts[-1].json["type"] == "provider.silent"
        assert hooks.posts[-1].json["data"]["provider"] == provider
    assert system.sql.rows("SELECT count(*) FROM notifications") == [(1,)]
    assert scraped(system.client).sum("notify_provider_silent", provider=provider) == 1
