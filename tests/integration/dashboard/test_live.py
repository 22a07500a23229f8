"""Live updates of the overview: their figures, their cost, and the end of the stream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from uuid import UUID, uuid4

import pytest

from api.dashboard.sampling import rates
from cli.servers.valkey import Valkey
from db.live_stats import LiveStats, PriorityStats, Worker
from tests.dashboard import Person, logged_in
from tests.eventually import eventually, outlast
from tests.integration.api import Api, running
from tests.keys import client, key

BEGAN = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    more: dict[str, Any] = {"live_interval": 0.2, "stream_listeners": 20, "login_rate": 10_000}
    with running(module_database_url, redis_server.url, auth="required", **more) as started:
        yield started


@contextmanager
def looking(api: Api, person: Person) -> Iterator[HTTPResponse]:
    """The stream of /live."""
    connection = HTTPConnection("127.0.0.1", api.port, timeout=60)
    cookies = "; ".join(f"{name}={value}" for name, value in person.cookies.items())
    connection.request("GET", "/live", headers={"Cookie": cookies})
    try:
        yield connection.getresponse()
    finally:
        connection.close()


def event(stream: HTTPResponse) -> tuple[str, Any] | None:
    """The next one, or None at the end."""
    name = data = None
    for line in stream:
        field, _, value = line.decode().rstrip("\n").partition(": ")
        name, data = (value if field == "event" else name), (value if field == "data" else data)
        if not field and name:
            return name, json.loads(data or "null")
    return None


def worker(id: UUID, began: datetime = BEGAN, **counters: int) -> Worker:
    return Worker(id, "host", 1, 8, began, 0.1, True, counters)


def live_stats(at: float, accepted: int, *workers: Worker) -> LiveStats:
    return LiveStats(at, accepted, {"normal": PriorityStats(1, 0)}, [], list(workers))


def test_a_rate_is_the_work_of_workers_between_two_samples() -> None:
    one, two = uuid4(), uuid4()
    before = live_stats(100, 10, worker(one, sent=5, failed=1), worker(two, sent=7))
    now = live_stats(102, 30, worker(one, sent=9, failed=1, retried=2), worker(two, sent=7, lost_race=4))

    assert rates(before, now)._asdict() == {
        "accepted": 10,
        "sent": 2,
        "failed": 0,
        "retried": 1,
        "uncertain": 0,
        "rescued": 0,
    }


def test_a_new_worker_counts_from_its_start_and_an_ended_one_not_at_all() -> None:
    since = BEGAN.timestamp()
    before = live_stats(since, 0, worker(uuid4(), sent=1_000))
    fresh, unseen = (
        worker(uuid4(), BEGAN + timedelta(seconds=1), sent=4),
        worker(uuid4(), BEGAN - timedelta(1), sent=99),
    )

    assert rates(before, live_stats(since + 2, 0, fresh, unseen)).sent == 2


def test_no_rate_is_negative_after_a_database_was_restored() -> None:
    one = uuid4()
    assert rates(live_stats(100, 50, worker(one, sent=9)), live_stats(100, 10, worker(one, sent=2))) == (0,) * 6


def test_each_sample_reaches_all_viewers(api: Api) -> None:
    person = logged_in(api, "read", "admin")
    with ExitStack() as stack:
        streams = [stack.enter_context(looking(api, person)) for _ in range(3)]
        assert [event(stream)[0] for stream in streams] == ["history"] * 3  # type: ignore[index]
        seen: list[list[float]] = [[event(stream)[1]["point"][0] for _ in range(3)] for stream in streams]  # type: ignore[index]
    assert set(seen[0]) & set(seen[1]) & set(seen[2])


def test_a_page_that_is_opened_later_gets_the_history(api: Api) -> None:
    person = logged_in(api, "read")
    with looking(api, person) as first:
        for _ in range(4):
            event(first)
        with looking(api, person) as second:
            name, points = event(second)  # type: ignore[misc]
    assert name == "history"
    assert len(points) >= 2


def test_names_of_machines_and_of_other_clients_are_for_admins(api: Api) -> None:
    api.sql.rows(
        "INSERT INTO workers (id, host, pid, threads) VALUES (gen_random_uuid(), 'secret-host', 7, 8) RETURNING 1"
    )
    api.sql.rows("INSERT INTO pauses (kind, name) VALUES ('client', '4711') RETURNING 1")
    admin = logged_in(api, "read", "admin")
    eventually(lambda: "secret-host" in admin.get("/").html)
    for person, sees in ((admin, True), (logged_in(api, "read", "manage"), False)):
        page = person.get("/")
        assert ("secret-host" in page.html, "4711" in page.html) == (sees, sees)
        assert "1 alive, 8 threads" in page.text
        with looking(api, person) as stream:
            event(stream)
            name, sample = event(stream)  # type: ignore[misc]
            assert name == "sample"
            assert ("secret-host" in sample["html"], "4711" in sample["html"]) == (sees, sees)
    api.sql.rows("DELETE FROM workers RETURNING 1")
    api.sql.rows("DELETE FROM pauses RETURNING 1")


def test_a_stream_ends_with_its_session(api: Api) -> None:
    mine = key(api.sql, ["read"])
    person = Person(api.port)
    person.log_in(mine)
    with looking(api, person) as stream:
        event(stream)
        api.sql.rows("UPDATE keys SET revoked_at = now() WHERE id = %s RETURNING 1", mine.id)
        while event(stream):
            pass
    with looking(api, person) as refused:
        assert refused.status == 401


def test_viewers_beyond_the_limit_are_refused(api: Api) -> None:
    person = logged_in(api, "read")
    with ExitStack() as stack:
        for _ in range(20):
            event(stack.enter_context(looking(api, person)))

        def full() -> bool:
            with looking(api, person) as one_more:
                return one_more.status == 503

        eventually(full)

    def room() -> bool:
        with looking(api, person) as one_more:
            return one_more.status == 200

    eventually(room)


def test_without_an_open_page_the_database_is_not_queried(api: Api) -> None:
    """Readings of the pulse, which no other test of this server makes now."""
    person = logged_in(api, "read", of=client(api.sql, "looks once"))
    with looking(api, person) as stream:
        event(stream)
        event(stream)
    used = "SELECT seq_scan + coalesce(idx_scan, 0) FROM pg_stat_user_tables WHERE relname = 'providers'"

    def rests() -> bool:
        [before] = api.sql.rows(used)
        outlast(1.5)
        return api.sql.rows(used) == [before]

    eventually(rests, within=20)


def test_stop_does_not_wait_for_open_live_streams(module_database_url: str, redis_server: Valkey) -> None:
    with (
        running(module_database_url, redis_server.url, live_interval=0.2, shutdown_grace=600) as own,
        looking(own, Person(own.port)) as stream,
    ):
        event(stream)
        assert own.api
        own.api.stop()  # Fails after 20 s: who looks on would hold it up for SHUTDOWN_GRACE.
        with suppress(OSError):
            while event(stream):
                pass
