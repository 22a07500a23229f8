"""Request bodies: their size, pace and end, and what they leave on the connection."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest

from cli.servers.valkey import Valkey
from tests.client import NOTIFICATIONS, Response
from tests.integration.api import Api, running
from tests.raw_http import JSON, chunked, exchange, read, request

LIMIT = 4096
TIMEOUT = 0.4
CHUNKED = b"Transfer-Encoding: chunked\r\n"
END = b"0\r\n\r\n"
BODY = json.dumps({"type": "email", "recipient": "test@example.com", "message": "Hello"}).encode()


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(module_database_url, redis_server.url, body_limit=LIMIT, body_timeout=TIMEOUT) as api:
        yield api


def length(count: int) -> bytes:
    return b"Content-Length: %d\r\n" % count


def answered(api: Api, sent: bytes) -> Response:
    answer = exchange(api.port, sent)
    assert answer is not None
    api.contract.check("POST", NOTIFICATIONS, answer)
    return answer


def stored(api: Api) -> int:
    return int(api.sql.rows("SELECT count(*) FROM notifications")[0][0])


def test_a_body_at_the_size_limit_is_read_and_one_byte_more_is_a_413(api: Api) -> None:
    padded = BODY.ljust(LIMIT)

    assert answered(api, request(JSON + length(LIMIT), padded)).status == 201
    assert answered(api, request(JSON + length(LIMIT + 1), padded + b" ")).status == 413


def test_a_chunked_body_has_the_same_size_limit(api: Api) -> None:
    padded = BODY.ljust(LIMIT)

    assert answered(api, request(JSON + CHUNKED, chunked(padded[:10], padded[10:]) + END)).status == 201
    assert answered(api, request(JSON + CHUNKED, chunked(padded, b" ") + END)).status == 413


def test_a_chunked_body_without_end_is_refused_at_the_limit(api: Api) -> None:
    assert answered(api, request(JSON + CHUNKED, chunked(b"x" * LIMIT, b"x"))).status == 413


@pytest.mark.parametrize("declared", [LIMIT + 1, 10**9, 10**400])
def test_a_body_declared_too_large_is_refused_before_any_of_it_comes(api: Api, declared: int) -> None:
    assert answered(api, request(JSON + length(declared))).status == 413


def test_expect_100_continue_for_a_too_large_body_is_refused(api: Api) -> None:
    head = JSON + length(LIMIT + 1) + b"Expect: 100-continue\r\n"

    assert answered(api, request(head)).status == 413


def test_expect_100_continue_is_answered_with_100(api: Api) -> None:
    with socket.create_connection(("127.0.0.1", api.port), 10) as connection:
        connection.sendall(request(JSON + length(len(BODY)) + b"Expect: 100-continue\r\n"))
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BODY)
        answer = read(connection)

    assert answer is not None
    assert answer.status == 201


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(request(JSON + length(len(BODY))), id="no body at all"),
        pytest.param(request(JSON + length(len(BODY)), BODY[:-1]), id="all but a byte"),
        pytest.param(request(JSON + length(len(BODY) + 1), BODY), id="JSON that is whole by chance"),
        pytest.param(request(JSON + CHUNKED, chunked(BODY)), id="no last chunk"),
    ],
)
def test_a_body_that_stops_halfway_times_out(api: Api, sent: bytes) -> None:
    before, began = stored(api), time.monotonic()

    assert answered(api, sent).status == 408
    # It was waited for; and had it been waited for without end, there would be no answer.
    assert time.monotonic() - began >= TIMEOUT
    assert stored(api) == before


def test_a_body_that_arrives_too_slowly_times_out(api: Api) -> None:
    with socket.create_connection(("127.0.0.1", api.port), 10) as connection:
        connection.sendall(request(JSON + length(len(BODY))))
        connection.settimeout(0.1)
        answer = None
        for byte in BODY:
            connection.sendall(bytes([byte]))
            try:
                answer = connection.recv(1000)
                break
            except TimeoutError:
                continue

    assert answer is not None
    assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    "sent",
    [request(JSON + length(len(BODY) + 1), BODY), request(JSON + CHUNKED, chunked(BODY))],
    ids=["length", "chunks"],
)
def test_a_request_that_is_cut_off_stores_nothing(api: Api, sent: bytes) -> None:
    before = stored(api)

    assert exchange(api.port, sent, half_close=True) is None
    assert api.client.notify("next@example.com").status == 201
    assert stored(api) == before + 1


def test_an_empty_body_is_refused_as_invalid_json(api: Api) -> None:
    assert answered(api, request(JSON)).status == 400
    assert answered(api, request(JSON + length(0))).status == 400


@pytest.mark.parametrize(
    "head",
    [
        length(len(BODY)) * 2,
        length(len(BODY)) + CHUNKED,
        b"Content-Length: -1\r\n",
        b"Content-Length: +1\r\n",
        b"Content-Length: x\r\n",
        b"Transfer-Encoding: wrong\r\n",
        b"Content-Type: text/plain\r\n" + length(len(BODY)),
    ],
)
def test_a_request_of_ambiguous_length_is_refused(api: Api, head: bytes) -> None:
    answer = exchange(api.port, request(JSON + head, BODY))

    assert answer is not None
    assert answer.status in (400, 501)


@pytest.mark.parametrize("size", [10, 100_000, 3_000_000])
@pytest.mark.parametrize(("path", "content_type"), [(NOTIFICATIONS, "text/plain"), ("/nowhere", "application/json")])
def test_a_connection_stays_open_after_an_unread_body(api: Api, path: str, content_type: str, size: int) -> None:
    connection = HTTPConnection("127.0.0.1", api.port, timeout=60)
    statuses = []
    for _ in range(2):
        connection.request("POST", path, b"x" * size, {"Content-Type": content_type})
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
    same = connection.sock
    connection.request("GET", "/healthz", b"a body that no GET needs")
    statuses.append(connection.getresponse().status)

    assert connection.sock is same
    assert statuses in ([415, 415, 200], [404, 404, 200])
    connection.close()


def test_a_client_receives_the_413_although_it_is_still_sending(api: Api) -> None:
    client = api.client

    assert client.request("POST", NOTIFICATIONS, b"x" * 3_000_000, {"Content-Type": "application/json"}).status == 413


def test_requests_sent_at_once_are_answered_in_their_order(api: Api) -> None:
    sent = request(JSON + length(len(BODY)), BODY) + request(b"", method=b"GET", path=b"/healthz")
    with socket.create_connection(("127.0.0.1", api.port), 10) as connection:
        connection.sendall(sent)
        received = b""
        while received.count(b"HTTP/1.1 ") < 2:
            received += connection.recv(9000)

    assert received.index(b"HTTP/1.1 201") < received.index(b"HTTP/1.1 200")
