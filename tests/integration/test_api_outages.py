"""The database or Redis goes away and comes back; the API stays."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import redis

from cli.servers.postgres import Postgres
from cli.servers.valkey import Valkey
from tests import embedded
from tests.client import NOTIFICATIONS, Response
from tests.eventually import eventually
from tests.integration.api import Api, running
from tests.scrapes import scraped

pytestmark = pytest.mark.long

WAITING = 2
CONNECT_TIMEOUT = 1
STATEMENT_TIMEOUT = 0.2
REDIS_TIMEOUT = 2
READS = [NOTIFICATIONS, f"{NOTIFICATIONS}/1", f"{NOTIFICATIONS}/1/attempts"]
OK = {"database": "ok", "migrations": "ok", "redis": "ok"}


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    with embedded.short_directory() as directory:
        yield directory


@pytest.fixture(scope="module")
def postgres(directory: Path) -> Iterator[Postgres]:
    with embedded.postgres(directory) as postgres:
        yield postgres


@pytest.fixture(scope="module")
def valkey(directory: Path) -> Iterator[Valkey]:
    with embedded.valkey(directory) as valkey:
        yield valkey


@pytest.fixture(scope="module")
def api(postgres: Postgres, valkey: Valkey) -> Iterator[Api]:
    with (
        embedded.Databases(postgres).new() as url,
        running(
            url,
            valkey.url,
            db_connect_timeout=CONNECT_TIMEOUT,
            db_statement_timeout=STATEMENT_TIMEOUT,
            redis_timeout=REDIS_TIMEOUT,
            accept_waiting=WAITING,
            read_waiting=WAITING,
            metrics_cache=0,
        ) as api,
    ):
        yield api


@pytest.fixture(autouse=True)
def well_before_and_after(api: Api) -> Iterator[None]:
    """Nothing is wrong when a test begins, and the same API is well again after each."""
    assert api.client.notify("before@example.com").status == 201
    before = api.api.members if api.api else []
    yield
    eventually(lambda: api.client.notify("after@example.com").status == 201, saying=api.logs)
    eventually(lambda: api.client.get("/readyz").json.get("checks") == OK, saying=api.logs)
    assert before == (api.api.members if api.api else [])


@contextmanager
def stopped(server: Postgres | Valkey) -> Iterator[None]:
    server.stop()
    try:
        yield
    finally:
        server.start()


@contextmanager
def frozen(server: Postgres | Valkey) -> Iterator[None]:
    """Neither it nor a child of it does anything, and nobody is told."""
    pids = [server.pid, *_children(server.pid)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def _children(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            of = int(entry.read_text().rpartition(")")[2].split()[1])
        except OSError:  # It has just ended.
            continue
        if of == parent:
            found.append(int(entry.parent.name))
    return found


def unavailable(answer: Response) -> bool:
    return (answer.status, answer.headers.get("retry-after")) == (503, "1")


def checks(api: Api) -> dict[str, str]:
    answer = api.client.get("/readyz")
    assert answer.status == (200 if answer.json["status"] == "ok" else 503)
    return dict(answer.json["checks"])


def test_many_requests_for_readyz_cause_one_check_a_second(api: Api, valkey: Valkey) -> None:
    def pings() -> int:
        return int(client.info("commandstats").get("cmdstat_ping", {}).get("calls", 0))

    with redis.Redis.from_url(valkey.url) as client, ThreadPoolExecutor(8) as askers:
        before, begun = pings(), time.monotonic()
        answers = list(askers.map(lambda _: api.client.get("/readyz").status, range(400)))
        looks = pings() - before
    assert set(answers) == {200}
    assert looks <= time.monotonic() - begun + 2


def test_without_the_database_nothing_is_accepted_or_shown(api: Api, postgres: Postgres) -> None:
    with stopped(postgres):
        assert unavailable(api.client.notify("a@example.com"))
        for path in READS:
            assert unavailable(api.client.get(path))
        eventually(lambda: checks(api) == OK | {"database": "unavailable", "migrations": "unknown"}, saying=api.logs)
        assert api.client.get("/healthz").status == 200


def test_an_invalid_request_is_refused_with_its_fault_without_the_database(api: Api, postgres: Postgres) -> None:
    with stopped(postgres):
        assert api.client.post(NOTIFICATIONS, {}).status == 422
        assert api.client.get(NOTIFICATIONS, limit=0).status == 400


def test_a_database_that_hangs_is_a_503_within_the_timeout(api: Api, postgres: Postgres) -> None:
    with frozen(postgres), ThreadPoolExecutor() as threads:
        posted = threads.submit(api.client.notify, "a@example.com")
        shown = [threads.submit(api.client.get, path) for path in READS[:WAITING]]
        assert unavailable(posted.result())
        assert all(unavailable(answer.result()) for answer in shown)
        eventually(lambda: checks(api)["database"] == "unavailable", saying=api.logs)
        assert api.client.get("/healthz").status == 200


def test_requests_beyond_the_number_that_may_wait_are_a_503_at_once(api: Api, postgres: Postgres) -> None:
    with frozen(postgres), ThreadPoolExecutor(40) as threads:
        # Beside those that wait, each thread has one, and the flusher's hands hold as many as may wait.
        reads = list(threads.map(lambda _: api.client.get(NOTIFICATIONS), range(2 * WAITING + 10)))
        posts = list(threads.map(lambda n: api.client.notify(f"a{n}@example.com"), range(3 * WAITING + 10)))

    for answers in (reads, posts):
        assert all(unavailable(answer) for answer in answers)
        assert any(a.json["detail"].startswith("Too many requests are waiting already") for a in answers)


def test_without_redis_everything_is_accepted(api: Api, valkey: Valkey) -> None:
    with stopped(valkey):
        assert api.client.notify("a@example.com").status == 201
        eventually(lambda: checks(api) == OK | {"redis": "unavailable"}, saying=api.logs)


def test_a_redis_that_hangs_delays_no_request(api: Api, valkey: Valkey) -> None:
    with frozen(valkey):
        assert {api.client.notify("a@example.com").status for _ in range(10)} == {201}
        eventually(lambda: checks(api) == OK | {"redis": "unavailable"}, saying=api.logs)


def test_notifications_are_accepted_without_waiting_for_a_redis_that_hangs(api: Api, valkey: Valkey) -> None:
    # The client gives up after half a minute, long before Redis would have been given up.
    with running(api.environ["DATABASE_URL"], valkey.url, redis_timeout=60) as patient, frozen(valkey):
        assert {patient.client.notify("a@example.com").status for _ in range(10)} == {201}


@pytest.mark.parametrize("ends", [stopped, frozen])
def test_without_the_database_the_metrics_of_the_processes_are_served(
    api: Api, postgres: Postgres, ends: Callable[[Postgres], AbstractContextManager[None]]
) -> None:
    before = scraped(api.client)
    with ends(postgres):
        while_away = [scraped(api.client) for _ in range(2)]
    eventually(lambda: scraped(api.client).sum("notify_database_up") == 1)

    assert before.sum("notify_database_up") == 1
    for seen in while_away:
        assert seen.sum("notify_database_up") == 0
        assert seen.sum("notify_accepted_total") >= before.sum("notify_accepted_total") > 0
        assert "notify_oldest_due_seconds" not in seen.labels()


def test_failed_wake_up_messages_are_counted_without_redis(api: Api, valkey: Valkey) -> None:
    before = scraped(api.client).sum("notify_wake_ups_total", result="failed")
    with stopped(valkey):
        assert api.client.notify("a@example.com").status == 201
        eventually(lambda: scraped(api.client).sum("notify_wake_ups_total", result="failed") > before)


def test_a_schema_of_another_version_is_reported(api: Api) -> None:
    [(name,)] = api.sql.rows("SELECT name FROM schema_migration ORDER BY name LIMIT 1")

    add = "INSERT INTO schema_migration (name, applied) VALUES (%s, now()) RETURNING name"
    api.sql.rows(add, "9998_later")
    eventually(lambda: checks(api) == OK, saying=api.logs)
    api.sql.rows(add, "9999_later_after")
    eventually(lambda: "the database has 9999_later_after, " in checks(api)["migrations"])

    api.sql.rows("DELETE FROM schema_migration WHERE name = %s RETURNING name", name)
    eventually(lambda: f"the database lacks {name}: run `notify migrate`" == checks(api)["migrations"])

    api.sql.rows(add, name)
    api.sql.rows("DELETE FROM schema_migration WHERE name LIKE '%%_later%%' RETURNING name")
