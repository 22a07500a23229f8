"""Privileges are revoked for a while: outcomes are kept, nothing is sent twice, and operators are informed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.eventually import eventually
from tests.processes import ROOT
from tests.queries import wait_past_stuck_after
from tests.servers.stock_postgres import ROLE, StockPostgres
from tests.smtp import SmtpServer
from tests.system import System

pytestmark = pytest.mark.long

MANY, THREADS, AHEAD = 40, 4, 2


@pytest.fixture
def database(stock_postgres: StockPostgres, stock_database_url: str) -> str:
    """Its name. Plans are not compiled: on a busy machine a claim would take longer than the test."""
    name = urlsplit(stock_database_url).path.strip("/")
    stock_postgres.run(f"ALTER DATABASE {name} SET jit = off")
    return name


@pytest.fixture
def system(
    tmp_path: Path, stock_database_url: str, database: str, stock_redis_url: str, smtp_server: SmtpServer
) -> Iterator[System]:
    """The API and two groups of workers."""
    urls = {"database_url": stock_database_url, "redis_url": stock_redis_url, "smtp_url": smtp_server.url}
    running = System(tmp_path, **urls)
    try:
        running.start_api()
        for _ in range(2):
            running.start_workers(threads=THREADS)
        yield running
    finally:
        running.stop()


@pytest.mark.parametrize("privilege", ["INSERT ON attempts", "UPDATE ON notifications", "SELECT ON listeners"])
def test_a_privilege_missing_for_longer_than_stuck_after_causes_no_second_mail(
    system: System, smtp_server: SmtpServer, stock_postgres: StockPostgres, database: str, privilege: str
) -> None:
    smtp_server.delay = 0.05
    ids = [post(system, number) for number in range(MANY)]
    eventually(lambda: len(smtp_server.mails) > 2, within=30, saying=system.logs)
    stock_postgres.run(f"REVOKE {privilege} FROM {ROLE}", database=database)
    begun = len(smtp_server.mails)
    wait_past_stuck_after(partial(stock_postgres.run, database=database))
    assert len(smtp_server.mails) <= begun + 2 * THREADS * (AHEAD + 1)
    if privilege == "INSERT ON attempts":
        assert "outcomes cannot be recorded" in doctor(system)
    stock_postgres.run(f"GRANT {privilege} TO {ROLE}", database=database)
    eventually(lambda: system.sql.statuses(ids) == {"sent": MANY}, within=60, saying=system.logs)
    copies = Counter(to for mail in smtp_server.mails for to in mail.recipients)
    assert set(copies.values()) == {1}
    assert any("permission denied" in group.log.read_text() for group in system.workers)


def post(system: System, number: int) -> int:
    document = {"type": "email", "recipient": f"anna{number}@example.com", "message": "Hello"}
    answer = system.client.post("/api/notifications", document)
    assert answer.status == 201
    return int(answer.json["id"])


def doctor(system: System) -> str:
    """Return the findings that `notify doctor` calls problems."""
    command = [str(Path(sys.executable).parent / "notify"), "doctor", "--json"]
    done = subprocess.run(command, cwd=ROOT, env=system.environ, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)["findings"]
    return "\n".join(one["what"] for one in found if one["level"] == "problem")
