"""Daily limits with real workers: the next provider takes over, what is left waits, and Redis may lose its counts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
import redis

from cli.servers.valkey import Valkey
from tests.eventually import eventually
from tests.load import Load
from tests.smtp import SmtpServer
from tests.system import System

pytestmark = pytest.mark.long

NOTIFY = Path(sys.executable).with_name("notify")
FIRST, SECOND = 150, 250  # their daily limits


class Pair(NamedTuple):
    """The system and its two mail servers; the second is a reserve."""

    system: System
    first: SmtpServer
    second: SmtpServer

    def post(self, count: int, name: str) -> dict[int, str]:
        """Post so many notifications; return recipients by id."""
        load = Load(self.system.port, (f"{name}{n}@example.com" for n in range(count)), 8).start().finish()
        assert load.refused == []
        return load.accepted

    def counts(self) -> tuple[int, int]:
        """How many mails each server has taken."""
        return len(self.first.mails), len(self.second.mails)

    def notify(self, *words: str) -> str:
        """Run a command of `notify` and return its output."""
        done = subprocess.run(
            [NOTIFY, *words], env=self.system.environ, capture_output=True, text=True, timeout=240, check=False
        )
        return done.stdout


@pytest.fixture
def pair(database_url: str, redis_server: Valkey, redis_url: str, tmp_path: Path) -> Iterator[Pair]:
    with ExitStack() as stack:
        first, second = (stack.enter_context(SmtpServer()) for _ in range(2))
        urls = {
            "provider_first": f"{first.url}?daily={FIRST}&connections=8",
            "provider_second": f"{second.url}?daily={SECOND}&priority=2&connections=8",
        }
        system = System(tmp_path, database_url=database_url, redis_url=redis_url, smtp_url="", **urls)
        stack.callback(system.stop)
        system.start_api()
        yield Pair(system, first, second)


def test_the_reserve_takes_over_and_what_neither_may_send_waits_without_an_attempt(pair: Pair) -> None:
    pair.system.start_workers(2)
    accepted = pair.post(500, "r")
    eventually(lambda: pair.counts() == (FIRST, SECOND), within=60, saying=pair.counts)
    sql = "SELECT count(*) FROM providers WHERE exhausted_until > now() + interval '23 hours'"
    eventually(lambda: pair.system.sql.rows(sql)[0][0] == 2, within=15)
    eventually(lambda: pair.system.sql.statuses(list(accepted)) == {"sent": 400, "pending": 100}, within=30)

    assert pair.counts() == (FIRST, SECOND)
    assert pair.system.sql.rows("SELECT DISTINCT outcome FROM attempts") == [("sent",)]
    assert pair.system.sql.rows("SELECT max(retry_count) FROM notifications") == [(0,)]
    listed = pair.notify("providers")
    assert "150 of 150" in listed
    assert "used up until" in listed
    shown = [json.loads(line) for line in pair.notify("providers", "--json").splitlines()]
    assert [(one["name"], one["dailyUsed"]) for one in shown] == [("first", FIRST), ("second", SECOND)]
    assert "daily limit of provider first reached (150 in 24 hours), free again at" in pair.notify("doctor")


def test_workers_that_are_killed_and_a_redis_that_is_flushed_use_no_more_than_the_limit(pair: Pair) -> None:
    killed = pair.system.start_workers(1)
    pair.post(60, "before")
    eventually(lambda: pair.counts()[0] == 60, within=30, saying=pair.counts)
    recorded = "SELECT sum(value::int) FROM providers, jsonb_each_text(daily_used) WHERE name = 'first'"
    eventually(lambda: (pair.system.sql.rows(recorded)[0][0] or 0) >= 60, within=15)
    killed.kill()
    with redis.Redis.from_url(pair.system.environ["REDIS_URL"]) as client:
        client.flushall()
    pair.system.start_workers(2)
    accepted = pair.post(200, "after")
    eventually(lambda: not pair.system.sql.unfinished(list(accepted)), within=60, saying=pair.counts)

    first, second = pair.counts()
    assert first + second == 260
    assert FIRST - 10 <= first <= FIRST
