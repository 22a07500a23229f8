"""Bytes that a connection sends before, between, behind and in place of requests, and the answers to them."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from cli.servers.valkey import Valkey
from tests.client import NOTIFICATIONS, Response
from tests.eventually import eventually, outlast
from tests.integration.api import Api, running
from tests.raw_http import JSON, exchange, read, request

HEAD_TIMEOUT = 0.5
HEALTH = request(b"", method=b"GET", path=b"/healthz")
BODY = json.dumps({"type": "email", "recipient": "test@example.com", "message": "Hello"}).encode()
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
POST = request(JSON + LENGTH, BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    limits: dict[str, Any] = {
        "head_timeout": HEAD_TIMEOUT,
        "body_timeout": 5,
    }
    with running(module_database_url, redis_server.url, **limits) as api:
        yield api


@contextmanager
def connected(api: Api) -> Iterator[socket.socket]:
    """A connection whose waits end."""
    with socket.create_connection(("127.0.0.1", api.port), 10) as connection:
        yield connection


def answers(connection: socket.socket, count: int) -> list[int]:
    """The statuses of so many answers, of which each but the last has a Content-Length."""
    return [answer.status for answer in (read(connection, "GET") for _ in range(count)) if answer is not None]


def sent_until_closed(connection: socket.socket, piece: bytes) -> bytes:
    """Send a piece again and again until the server hangs up; return what it has said."""
    connection.settimeout(0.05)
    received = b""

    def closed() -> bool:
        nonlocal received
        try:
            connection.sendall(piece)
            more = connection.recv(65_536)
        except TimeoutError:
            return False
        except ConnectionError:
            return True
        received += more
        return not more

    eventually(closed, within=20, every=0.01)
    return received


def stored(api: Api) -> int:
    return int(api.sql.rows("SELECT count(*) FROM notifications")[0][0])


@pytest.mark.parametrize("before", [b"", HEALTH, POST], ids=["the first head", "after a GET", "after a POST"])
@pytest.mark.parametrize("piece", [b"X", b"\r\n"], ids=["a field", "empty lines"])
def test_a_request_head_that_arrives_too_slowly_is_cut_off(api: Api, before: bytes, piece: bytes) -> None:
    with connected(api) as connection:
        if before:
            connection.sendall(before)
            assert len(answers(connection, 1)) == 1
        if piece == b"X":
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: h\r\nX")
        assert sent_until_closed(connection, piece) == b""


def test_a_slow_request_head_within_the_timeout_is_answered(api: Api) -> None:
    with connected(api) as connection:
        for _ in range(2):
            for start in range(0, len(HEALTH), 7):
                connection.sendall(HEALTH[start : start + 7])
            assert answers(connection, 1) == [200]


@pytest.mark.parametrize(
    ("begun", "piece", "status"),
    [
        (b"GET /healthz?", b"a" * 1000, 414),
        (b"GET /healthz HTTP/1.1\r\nHost: h\r\nX: ", b"a" * 1000, 431),
        (b"GET /healthz HTTP/1.1\r\nHost: h\r\n", b"X: " + b"a" * 1000 + b"\r\n", 431),
    ],
    ids=["target", "field", "fields"],
)
@pytest.mark.parametrize("before", [b"", HEALTH], ids=["first", "second"])
def test_an_endless_request_head_is_refused_with_the_reason(
    api: Api, before: bytes, begun: bytes, piece: bytes, status: int
) -> None:
    with connected(api) as connection:
        if before:
            connection.sendall(before)
            assert answers(connection, 1) == [200]
        connection.sendall(begun + piece * 40)
        refused = read(connection)
    assert refused is not None
    assert (refused.status, refused.json["status"]) == (status, status)
    assert refused.headers["content-type"] == "application/problem+json"
    eventually(lambda: refused.headers["x-request-id"] in api.log)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"X: " + b"a" * 30_000 + b"\r\n", 200),
        (b"X: " + b"a" * 40_000 + b"\r\n", 431),
        (b"X: y\r\n" * 99, 200),
        (b"X: y\r\n" * 100, 431),
        (b"Host: other\r\n", 400),
        (b"Content-Type: a/b\r\nContent-Type: c/d\r\n", 400),
    ],
)
def test_the_size_of_a_request_head_is_limited(api: Api, head: bytes, status: int) -> None:
    answer = exchange(api.port, request(head, method=b"GET", path=b"/healthz"))
    assert answer is not None
    assert answer.status == status


@pytest.mark.parametrize(("length", "status"), [(8_000, 400), (9_000, 414)])
def test_the_length_of_a_request_target_is_limited(api: Api, length: int, status: int) -> None:
    path = f"{NOTIFICATIONS}?recipient=".encode().ljust(length, b"a")
    answer = exchange(api.port, request(b"", method=b"GET", path=path))
    assert answer is not None
    assert answer.status == status


def test_a_refused_client_that_continues_to_send_reads_why_and_is_cut_off(api: Api) -> None:
    with connected(api) as connection:
        connection.sendall(b"GET /")
        said = sent_until_closed(connection, b"a" * 20_000)
    assert said.startswith(b"HTTP/1.1 414 ")


@pytest.mark.parametrize("garbage", [b"\0\0\0\0", b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n"])
def test_garbage_after_a_request_does_not_prevent_its_answer(api: Api, garbage: bytes) -> None:
    before = stored(api)
    with connected(api) as connection:
        connection.sendall(POST + garbage)
        answer = read(connection)
        assert connection.recv(1) == b""
    assert answer is not None
    assert answer.status == 201
    assert stored(api) == before + 1


@pytest.mark.parametrize("broken", [b"zz\r\n", b"-1\r\n", b"5\r\nabcdefgh\r\n", b"ffffffffffffffffffff\r\n"])
@pytest.mark.parametrize("together", [True, False])
def test_a_malformed_chunk_is_refused_and_nothing_is_stored(api: Api, broken: bytes, *, together: bool) -> None:
    before = stored(api)
    good = b"%x\r\n%b\r\n" % (len(BODY), BODY)
    with connected(api) as connection:
        if together:
            connection.sendall(request(JSON + CHUNKED, good + broken))
        else:
            connection.sendall(request(JSON + CHUNKED, good))
            connection.sendall(broken)
        answer = read(connection)
    assert answer is not None
    assert answer.status == 400
    assert stored(api) == before


def test_a_body_that_goes_on_long_after_its_answer_is_cut_off(api: Api) -> None:
    with connected(api) as connection:
        connection.sendall(request(b"Content-Type: text/plain\r\nContent-Length: 1000000000\r\n"))
        assert answers(connection, 1) == [415]
        sent_until_closed(connection, b"x")


def test_an_endless_body_of_a_get_is_cut_off(api: Api) -> None:
    with connected(api) as connection:
        connection.sendall(request(b"Content-Length: 1000000000\r\n", method=b"GET", path=b"/healthz"))
        assert answers(connection, 1) == [200]
        sent_until_closed(connection, b"x" * 1000)


def test_a_body_that_ends_soon_after_its_answer_leaves_the_connection_open(api: Api) -> None:
    with connected(api) as connection:
        connection.sendall(request(b"Content-Length: 5\r\n", method=b"GET", path=b"/healthz"))
        assert answers(connection, 1) == [200]
        connection.sendall(b"x" * 5)
        outlast(2 * HEAD_TIMEOUT)
        connection.sendall(HEALTH)
        assert answers(connection, 1) == [200]


def test_the_number_of_pipelined_requests_is_limited(api: Api) -> None:
    id = api.client.notify("a@example.com").json["id"]
    poll = request(b"", method=b"GET", path=f"{NOTIFICATIONS}/{id}?wait=2".encode())
    with connected(api) as connection:
        connection.sendall(poll + b"GET /healthz HTTP/1.1\r\nHost: h\r\n")
        connection.settimeout(0.05)
        # More than all buffers on the way take, if the server does not take it.
        with suppress(TimeoutError, ConnectionError):
            connection.sendall((b"X: " + b"a" * 1000 + b"\r\n") * 20_000)
        connection.settimeout(10)
        answer: Response | None = read(connection, "GET")
    assert answer is not None
    assert (answer.status, answer.headers["connection"]) == (200, "close")


@pytest.mark.parametrize("cut", [None, 60, -3], ids=["whole", "within the head", "within the body"])
def test_an_upgrade_to_http_2_is_ignored(api: Api, cut: int | None) -> None:
    # As Java's client sends it with the first request of each connection.
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQ\r\n"
    with connected(api) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        post = request(offer + JSON + LENGTH, BODY)
        for piece in (post[:cut], post[cut:]) if cut else (post,):
            connection.sendall(piece)
        assert answers(connection, 1) == [201]
        connection.sendall(request(offer, method=b"GET", path=b"/healthz"))
        assert answers(connection, 1) == [200]
        connection.sendall(HEALTH)
        assert answers(connection, 1) == [200]


def test_http_1_0_is_answered_and_an_unknown_version_is_refused(api: Api) -> None:
    with connected(api) as connection:
        connection.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        answer = read(connection, "GET")
        assert answer is not None
        assert (answer.status, answer.json) == (200, {"status": "ok"})
        assert connection.recv(1) == b""
    for version in (b"2.0", b"0.9", b"1.2", b"3"):
        refused = exchange(api.port, b"GET /healthz HTTP/" + version + b"\r\nHost: h\r\n\r\n")
        assert refused is not None
        assert refused.status in (400, 505)


def test_clients_that_reset_their_connections_at_any_moment_cause_no_error(api: Api) -> None:
    for number in range(2_000):
        with connected(api) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.sendall(HEALTH * (1 + number % 5))
            time.sleep(number % 7 * 0.000_15)  # so that the resets meet each step of an answer
    with connected(api) as connection:
        connection.sendall(HEALTH)
        assert answers(connection, 1) == [200]
    assert '"level":"error"' not in api.log
