"""Limits while Redis is away: LIMITS_FAIL decides, and no request is delayed for long."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis

from cli.servers.valkey import Valkey
from tests import embedded
from tests.eventually import eventually
from tests.integration.api import Api, running
from tests.integration.test_api_limits import Limited, refused
from tests.integration.test_api_outages import frozen, stopped

TIMEOUT = 1.0
AWAY = 0.3


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    with embedded.short_directory() as directory, embedded.valkey(directory) as valkey:
        yield valkey


@contextmanager
def failing(database_url: str, valkey: Valkey, fail: str, **more: object) -> Iterator[Api]:
    settings: dict[str, Any] = {"limits_timeout": TIMEOUT, "limits_away": AWAY, **more}
    with running(database_url, valkey.url, auth="required", limits_fail=fail, **settings) as api:
        yield api


def reached(valkey: Valkey) -> int:
    """Return how many connections were made to it. A caller that stops waiting also drops its connection."""
    with redis.Redis.from_url(valkey.url) as client:
        return int(client.info("stats")["total_connections_received"])


@pytest.mark.parametrize("gone", [stopped, frozen])
def test_in_open_mode_everything_is_admitted_until_redis_is_back(
    module_database_url: str, valkey: Valkey, gone: object
) -> None:
    with failing(module_database_url, valkey, "open") as api:
        limited = Limited(api, rate_limit=3, daily_quota=100)
        assert limited.post().status == 201
        with gone(valkey):  # type: ignore[operator]
            answers = [limited.post() for _ in range(10)]
            assert {answer.status for answer in answers} == {201}
            assert not any("ratelimit" in answer.headers for answer in answers)
            shown = limited.client.get("/api/limits").json
            assert shown["rate"] == {"limit": 3, "used": None, "remaining": None, "window": 60}
        eventually(lambda: refused(limited.post(), "rate"))
        assert api.log.count("limits.unavailable") == api.log.count("limits.available") == 1


def test_closed_mode_refuses_clients_with_a_rate_limit_or_quota_while_redis_is_away(
    module_database_url: str, valkey: Valkey
) -> None:
    with failing(module_database_url, valkey, "closed") as api:
        limited, free, waiting = Limited(api, daily_quota=50), Limited(api), Limited(api, pending_limit=50)
        with stopped(valkey):
            answer = limited.post()
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            assert answer.json["detail"].startswith("The limits of this client cannot be checked right now")
            assert limited.batch(3).status == 503
            assert limited.stored == 0
            assert (free.post().status, waiting.post().status) == (201, 201)
        eventually(lambda: limited.post().status == 201)


def test_only_some_posts_wait_for_a_redis_that_hangs(module_database_url: str, valkey: Valkey) -> None:
    with failing(module_database_url, valkey, "open", limits_away=600) as api:
        limited = Limited(api, rate_limit=1_000)
        before = reached(valkey)
        with frozen(valkey):
            assert {limited.post().status for _ in range(20)} == {201}
        # One has waited, and not each.
        assert reached(valkey) - before <= 10
