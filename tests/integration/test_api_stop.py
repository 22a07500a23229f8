"""SIGTERM during requests: every request is answered, and every 201 is stored."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from cli.servers.valkey import Valkey
from tests.eventually import eventually
from tests.integration.api import NOWHERE, Api
from tests.load import Load
from tests.raw_http import JSON, read, request

pytestmark = pytest.mark.long

CONNECTIONS = 8
GRACE = 4
BODY = json.dumps({"type": "email", "recipient": "test@example.com", "message": "Hello"}).encode()


@pytest.fixture
def api(tmp_path: Path, database_url: str, redis_server: Valkey) -> Api:
    api = Api(tmp_path, database_url=database_url, redis_url=redis_server.url, smtp_url=NOWHERE, shutdown_grace=GRACE)
    api.start_api(processes=2)
    # gunicorn does not pass a signal on to a worker that is still booting.
    eventually(lambda: api.log.count("Application startup complete") == 2)
    return api


def test_a_stop_under_load_loses_no_answered_request(api: Api) -> None:
    assert api.api is not None
    load = Load(api.port, (f"{n}@example.com" for n in count()), connections=CONNECTIONS).start()
    eventually(lambda: len(load.accepted) > 200)

    assert api.api.stop(within=GRACE + 5) == 0
    load.stop()

    stored = {id for (id,) in api.sql.rows("SELECT id FROM notifications")}
    assert set(load.accepted) == stored, api.logs()
    assert not [refusal for refusal in load.refused if refusal[0].isdigit()], "answered with something else than 201"
    assert '"level":"error"' not in api.log, api.logs()


def test_an_idle_connection_does_not_hold_up_a_stop(api: Api) -> None:
    assert api.api is not None
    with api.client as client, socket.create_connection(("127.0.0.1", api.port)) as half_sent:
        assert client.get("/healthz").status == 200
        half_sent.sendall(b"GET /healthz HTTP/1.1\r\nHost: h")

        assert api.api.stop(within=GRACE + 5) == 0
    assert "timeout graceful shutdown" not in api.log


def test_a_stop_does_not_wait_for_an_incomplete_request_head(
    tmp_path: Path, database_url: str, redis_server: Valkey
) -> None:
    servers = {"database_url": database_url, "redis_url": redis_server.url, "smtp_url": NOWHERE}
    api = Api(tmp_path, **servers, head_timeout=2)
    api.start_api(processes=1)
    with socket.create_connection(("127.0.0.1", api.port), timeout=60) as silent:
        silent.sendall(b"POST /api/notifications HTTP/1.1\r\nHost: h")
        assert silent.recv(100) == b""
    with api.client as client:
        assert client.get("/healthz").status == 200
    assert api.api is not None
    assert api.api.stop(within=10) == 0


def test_a_stopping_process_answers_a_connection_that_it_has_accepted(api: Api) -> None:
    assert api.api is not None
    with socket.create_connection(("127.0.0.1", api.port), timeout=60) as connected:
        api.api.ask()
        eventually(lambda: "Shutting down" in api.log)
        connected.sendall(b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        assert connected.recv(100).startswith(b"HTTP/1.1 200 ")
    assert api.api.stop(within=GRACE + 5) == 0


@pytest.fixture
def half_posted(api: Api) -> Iterator[socket.socket]:
    """A POST of which all but the last byte has come."""
    with socket.create_connection(("127.0.0.1", api.port), timeout=60) as connection:
        connection.sendall(request(JSON + b"Content-Length: %d\r\n" % len(BODY) + b"Expect: 100-continue\r\n"))
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BODY[:-1])
        yield connection


def test_a_request_whose_body_is_arriving_at_a_stop_is_answered_and_its_connection_closed(
    api: Api, half_posted: socket.socket
) -> None:
    assert api.api is not None
    api.api.ask()
    # Each of the two processes looks for its signal ten times a second; only one of them has the request.
    eventually(lambda: api.log.count("Shutting down") == 2)
    half_posted.sendall(BODY[-1:])
    answer = read(half_posted)
    assert answer is not None
    assert (answer.status, answer.headers["connection"]) == (201, "close")
    assert half_posted.recv(1) == b""
    assert api.api.stop(within=GRACE + 5) == 0
    assert api.sql.rows("SELECT count(*) FROM notifications") == [(1,)]
    assert "was sent" not in api.log, "a process was ended by a signal"


def test_a_stop_waits_for_an_endless_body_only_until_shutdown_grace(api: Api, half_posted: socket.socket) -> None:
    assert api.api is not None
    assert api.api.stop(within=GRACE + 5) == 0
    assert "was sent SIGKILL" not in api.log
    assert api.sql.rows("SELECT count(*) FROM notifications") == [(0,)]
    assert b" 201 " not in half_posted.recv(100)


def test_sigint_drops_running_requests(tmp_path: Path, database_url: str, redis_server: Valkey) -> None:
    servers = {"database_url": database_url, "redis_url": redis_server.url, "smtp_url": NOWHERE}
    api = Api(tmp_path, **servers, shutdown_grace=60, body_timeout=60)
    group = api.start_api(processes=2)
    eventually(lambda: api.log.count("Application startup complete") == 2)
    with socket.create_connection(("127.0.0.1", api.port), timeout=60) as connection:
        connection.sendall(request(JSON + b"Content-Length: %d\r\n" % len(BODY), BODY[:-1]))
        group.signal(signal.SIGINT)
        eventually(lambda: not group.members, within=30, saying=api.logs)
    assert group.stop() == 0


@pytest.mark.parametrize("path", ["/api/stream", "/api/notifications/1?wait=30"])
def test_streams_and_long_polls_end_cleanly_at_a_stop(api: Api, path: str) -> None:
    assert api.api is not None
    assert api.client.notify("a@example.com").json["id"] == 1
    with socket.create_connection(("127.0.0.1", api.port), timeout=60) as connection:
        connection.sendall(request(b"", method=b"GET", path=path.encode()))
        if path == "/api/stream":
            assert connection.recv(9000).startswith(b"HTTP/1.1 200 ")
        api.api.ask()
        received = b""
        while more := connection.recv(9000):
            received += more
    assert received.endswith(b"0\r\n\r\n" if path == "/api/stream" else b"}\n")
    assert api.api.stop(within=GRACE + 5) == 0
    assert "timeout graceful shutdown" not in api.log
