"""/metrics of the API: access, caching, and a fixed number of series."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from api.resources import scraping
from cli.servers.valkey import Valkey
from db.database import Unavailable
from settings import read
from tests.client import NOTIFICATIONS, Client, Response
from tests.integration.api import Api, running
from tests.keys import key
from tests.scrapes import Scrape, scraped

pytestmark = pytest.mark.long

TOKEN = "0123456789abcdef" * 2
ROUTE = "notify_http_request_duration_seconds_count"
AT_MOST = 1_000  # lines of a scrape, whatever clients do


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    limits = {"metrics_token": TOKEN, "metrics_cache": 0, "rate_limit": 0}
    with running(module_database_url, redis_server.url, processes=2, auth="required", **limits) as api:
        yield api


def asked(api: Api, token: object, path: str = "/metrics", scheme: str = "Bearer") -> Response:
    return api.client.request("GET", path, headers={"Authorization": f"{scheme} {token}"})


def seen(api: Api) -> Scrape:
    answer = asked(api, TOKEN)
    assert answer.status == 200
    return Scrape(answer.raw.decode())


def test_the_metrics_token_gives_access_to_the_metrics_only(api: Api) -> None:
    assert asked(api, TOKEN).status == asked(api, TOKEN, scheme="bearer").status == 200
    assert asked(api, TOKEN, "/metrics/").status == 401
    assert asked(api, TOKEN, NOTIFICATIONS).status == 401
    assert api.client.request("HEAD", "/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).status == 200
    assert api.client.post("/metrics", {}).status == 401


@pytest.mark.parametrize("wrong", ["", "x", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "\u00e9" * 32])
def test_a_wrong_metrics_token_is_refused(api: Api, wrong: str) -> None:
    answer = asked(api, wrong)

    assert answer.status == 401
    assert b"notify_" not in answer.raw


def test_a_key_reads_the_metrics_only_with_the_scope_admin(api: Api) -> None:
    assert asked(api, key(api.sql, ["admin"])).status == 200
    refused = asked(api, key(api.sql, ["send", "read", "manage"]))
    assert refused.status == 403
    assert refused.headers["www-authenticate"].endswith('scope="admin"')


def hostile(api: Api, numbers: range) -> None:
    """For each number a request of every kind, all of them different from the others."""
    with Client(api.port) as client:
        client.key = str(key(api.sql))
        for n in numbers:
            client.notify(f"recipient-{n}@example.com", tags=[f"tag-{n}"], subject=f"subject {n}")
            client.notify(f"no address {n}")
            client.get(f"/nowhere/{n}", colour=n)
            client.get(f"{NOTIFICATIONS}/{10**6 + n}")
            client.get(f"/api/templates/name-{n}")
            client.request("GET", "/healthz", headers={"X-Request-ID": f"id-{n}", "User-Agent": f"agent {n}"})
            assert Client(api.port).request(f"FETCH{n}", NOTIFICATIONS).status in (400, 401, 405)
            asked(api, f"key-{n}")


def test_no_request_of_a_client_adds_a_series(api: Api) -> None:
    hostile(api, range(4))  # Of each kind there is one now.
    before = seen(api)
    hostile(api, range(4, 104))
    after = seen(api)

    assert (
        after.sum(ROUTE, route="(none)") - before.sum(ROUTE, route="(none)") >= 200
    )  # The server refuses unknown methods.
    assert after.sum(ROUTE, route=f"{NOTIFICATIONS}/{{id}}", status="4xx") == 104
    assert after.values.keys() == before.values.keys()
    assert len(after.values) < AT_MOST
    said = {value for series in after.values for _, value in series.labels}
    assert not [value for value in said if "recipient" in value or "example" in value or value.startswith("FETCH")]


@pytest.mark.parametrize("damage", [b"", b"\xff\xff\x00\x00 what is this", bytes(3), b"\x40" + bytes(63)])
def test_a_damaged_file_in_the_directory_is_no_error_of_the_api(
    module_database_url: str, redis_server: Valkey, tmp_path: Path, damage: bytes
) -> None:
    with running(module_database_url, redis_server.url, metrics_dir=tmp_path, metrics_cache=0) as api:
        for name in ("counter_1.db", "histogram_4194305.db", "counter_0.db", "histogram_x.db", "gauge_livesum_1.db"):
            (tmp_path / name).write_bytes(damage)
        first, second = (scraped(api.client) for _ in range(2))

    assert first.sum(ROUTE) < second.sum(ROUTE)
    assert second.sum("notify_processes", program="api") == 1


def test_without_a_usable_directory_the_api_logs_it_once_and_serves_its_own_metrics(
    module_database_url: str, redis_server: Valkey, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with running(module_database_url, redis_server.url, metrics_dir=tmp_path / "file", metrics_cache=0) as api:
        for _ in range(3):
            assert scraped(api.client).sum("notify_processes", program="api") == 1
        [told] = [event for event in api.events if '"event":"metrics.' in event]

    assert "set METRICS_DIR to a directory that this user can write to" in told
    assert str(tmp_path / "file") in told


def test_a_long_poll_is_not_counted_as_a_slow_answer(api: Api) -> None:
    asking = api.client
    asking.key = str(key(api.sql))
    id = asking.notify("a@example.com").json["id"]
    asking.get(f"{NOTIFICATIONS}/{id}", wait=1)

    assert seen(api).sum(ROUTE, route=f"{NOTIFICATIONS}/{{id}} (long poll)") == 1


def test_the_metrics_of_processes_do_not_need_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    async def seen() -> object:
        truth = scraping.Truth(read({}))
        return await truth.seen()

    def broken(_worker_timeout: float) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(scraping, "_ask", broken)
    assert asyncio.run(seen()) is None
    [up] = [m for m in scraping.Told(None).collect() if m.name == "notify_database_up"]
    assert [sample.value for sample in up.samples] == [0]


def test_a_database_that_fails_after_the_timeout_is_no_error_of_the_event_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    late = threading.Event()
    unheard: list[dict[str, object]] = []

    def fail_late(_worker_timeout: float) -> None:
        assert late.wait(60)
        raise Unavailable

    async def seen() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unheard.append(context))
        truth = scraping.Truth(read({}))
        assert await truth.seen() is None
        late.set()
        assert truth._asking is not None
        await asyncio.wait([truth._asking])
        truth._asking = None
        gc.collect()

    monkeypatch.setattr(scraping, "_ask", fail_late)
    monkeypatch.setattr(scraping, "TIMEOUT", 0.1)
    asyncio.run(seen())
    assert not unheard


def test_many_simultaneous_scrapes_query_the_database_once(module_database_url: str, redis_server: Valkey) -> None:
    with running(module_database_url, redis_server.url, metrics_cache=60) as api:
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: api.client.get("/metrics"), range(16)))
        assert {answer.status for answer in answers} == {200}
        assert len({answer.raw for answer in answers}) == 1
