"""GET ...?wait=: answered at the final status, after the wait, or when the server stops."""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from cli.servers.valkey import Valkey
from db import database, lifecycle
from tests.client import NOTIFICATIONS, Response
from tests.contract import faults
from tests.environment import configured
from tests.eventually import eventually
from tests.integration.api import NOWHERE, Api, running
from tests.integration.rows import CLIENT, GRACE, WORKER, attempt

LONG = 30  # seconds; what waits for so long is answered for another reason
WAITING = 8


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with (
        configured(database_url=module_database_url) as settings,
        running(module_database_url, redis_server.url, stream_listeners=WAITING, web_concurrency=1) as api,
    ):
        database.bind(settings.database)
        with database.connection():
            yield api
        database.database.close()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(WAITING) as threads:
        yield threads


def poll(api: Api, id: int, wait: int = LONG) -> Response:
    return api.client.get(f"{NOTIFICATIONS}/{id}", wait=wait)


def asking(api: Api) -> bool:
    """Return whether a process queries the database for the notifications of long polls."""
    [(count,)] = api.sql.rows(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND query LIKE 'SELECT id FROM (SELECT %%) AS n WHERE id = ANY%%'"
    )
    return bool(count)


def begun(api: Api, threads: ThreadPoolExecutor, id: int) -> Future[Response]:
    """A poll that waits."""
    waiting = threads.submit(poll, api, id)
    eventually(lambda: asking(api))
    return waiting


def end(id: int) -> None:
    [held] = lifecycle.claim([id], WORKER)
    assert lifecycle.settle([lifecycle.sent(held, attempt())], GRACE, time.monotonic())


def test_a_long_poll_is_answered_when_the_notification_is_sent(api: Api, threads: ThreadPoolExecutor) -> None:
    id = api.client.notify("a@example.com").json["id"]
    waiting = begun(api, threads, id)
    assert not waiting.done()

    end(id)

    answer = waiting.result(LONG)
    assert (answer.status, answer.json["status"]) == (200, "sent")
    assert answer.json == api.client.notification(id)


def test_a_long_poll_is_answered_when_the_notification_is_cancelled(api: Api, threads: ThreadPoolExecutor) -> None:
    id = api.client.notify("a@example.com").json["id"]
    waiting = begun(api, threads, id)
    lifecycle.cancel(id, CLIENT)
    assert waiting.result(LONG).json["status"] == "cancelled"


def test_a_long_poll_for_a_finished_notification_is_answered_at_once(api: Api) -> None:
    id = api.client.notify("a@example.com").json["id"]
    end(id)
    assert poll(api, id).json["status"] == "sent"


def test_a_long_poll_shows_the_present_status_when_its_time_is_over(api: Api) -> None:
    id = api.client.notify("a@example.com").json["id"]
    answer = poll(api, id, wait=1)
    assert (answer.status, answer.json["status"]) == (200, "pending")


def test_many_long_polls_may_wait_for_one_notification(api: Api, threads: ThreadPoolExecutor) -> None:
    id = api.client.notify("a@example.com").json["id"]
    waiting = [begun(api, threads, id) for _ in range(3)]
    end(id)
    assert {one.result(LONG).json["status"] for one in waiting} == {"sent"}


def test_a_long_poll_for_an_unknown_notification_is_a_404(api: Api) -> None:
    assert poll(api, 10**12).status == 404


@pytest.mark.parametrize(
    "query", ["wait=0", "wait=61", "wait=x", "wait=1.5", "wait=-1", "wait=", "wait=1&wait=2", "for=1"]
)
def test_an_invalid_wait_is_refused(api: Api, query: str) -> None:
    id = api.client.notify("a@example.com").json["id"]
    refused = api.client.get(f"{NOTIFICATIONS}/{id}?{query}")
    assert refused.status == 400
    assert len(faults(refused)) == 1


def test_a_long_poll_beyond_the_limit_is_a_503_until_another_one_leaves(api: Api) -> None:
    id = api.client.notify("a@example.com").json["id"]
    request = f"GET {NOTIFICATIONS}/{id}?wait={LONG} HTTP/1.1\r\nHost: h\r\n\r\n".encode()

    def refused(waiting: list[socket.socket], answers: list[Response]) -> bool:
        answers.append(poll(api, id, wait=1))
        # Where our own poll took the place of one of them, that one was refused: it asks again.
        for client in select.select(waiting, [], [], 0)[0]:
            assert client.recv(65_536)
            client.sendall(request)
        return answers[-1].status == 503

    with ExitStack() as stack:
        address = ("127.0.0.1", api.port)
        waiting = [stack.enter_context(socket.create_connection(address)) for _ in range(WAITING)]
        for client in waiting:
            client.sendall(request)
        answers: list[Response] = []
        eventually(lambda: refused(waiting, answers))
        assert answers[-1].headers["retry-after"] == "1"
        assert api.client.notification(id)["status"] == "pending"

    # None of those that waited has heard an answer, and the time of none is over.
    eventually(lambda: poll(api, id, wait=1).status == 200, within=LONG / 2)


def test_the_database_is_not_queried_while_no_long_poll_waits(api: Api) -> None:
    id = api.client.notify("a@example.com").json["id"]
    poll(api, id, wait=1)
    eventually(lambda: not asking(api))


def test_a_stop_answers_all_waiting_long_polls(tmp_path: Path, database_url: str, redis_server: Valkey) -> None:
    servers = {"database_url": database_url, "redis_url": redis_server.url, "smtp_url": NOWHERE}
    api = Api(tmp_path, **servers, shutdown_grace=LONG)
    api.start_api(processes=1)
    assert api.api is not None
    id = api.client.notify("a@example.com").json["id"]
    with ThreadPoolExecutor(5) as threads:
        # Kept open by their clients, as connections are.
        kept = [socket.create_connection(("127.0.0.1", api.port)) for _ in range(5)]
        for client in kept:
            client.sendall(f"GET {NOTIFICATIONS}/{id}?wait=60 HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        answers = [threads.submit(_whole, client) for client in kept]
        eventually(lambda: asking(api))

        assert api.api.stop(within=LONG / 2) == 0

        for answer in answers:
            head, _, body = answer.result(LONG).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            assert json.loads(body)["status"] == "pending"
    assert "Forcing close" not in api.log


def _whole(client: socket.socket) -> bytes:
    client.settimeout(LONG)
    with client:
        answer = b""
        while piece := client.recv(65_536):
            answer += piece
        return answer
