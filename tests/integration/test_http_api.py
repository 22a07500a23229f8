"""The connection to a provider's API: after each fault it knows whether the request may have arrived."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import mock

import pytest
import uvloop

from actors.channels import Begin, always
from actors.channels.http_api import BODY_LIMIT, Answer, ApiConnection, NoAnswer, Request
from actors.channels.http_begin import TakenOver
from tests.conftest import TlsAuthority
from tests.providers.server import (
    Received,
    Reply,
    Server,
    answer_cut_at,
    answering,
    cut_at,
    hang_after,
    hang_before,
    reset_after,
    saying,
)

PATIENT, IMPATIENT = 20.0, 0.5  # seconds; the latter only for what hangs
SMALL, LARGE = b"x" * 100, b"x" * 12_000_000


class Caller:
    """A connection, and an event loop for it."""

    def __init__(self, loop: Callable[[], asyncio.AbstractEventLoop], context: ssl.SSLContext) -> None:
        self.runner = asyncio.Runner(loop_factory=loop)
        self.context = context
        self.scheme = "http"

    @contextmanager
    def connected(self, timeout: float = PATIENT) -> Iterator[ApiConnection]:
        connection = ApiConnection(timeout, timeout, self.context)
        yield connection
        self.runner.run(connection.close())

    def post(self, connection: ApiConnection, url: str, body: bytes = SMALL, begin: Begin = always) -> Answer:
        return self.runner.run(connection.post(Request(url, {"Content-Type": "text/plain"}, body), begin))

    def failure(self, url: str, body: bytes = SMALL, timeout: float = PATIENT, begin: Begin = always) -> NoAnswer:
        with self.connected(timeout) as connection, pytest.raises(NoAnswer) as caught:
            self.post(connection, url, body, begin)
        return caught.value


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def caller(request: pytest.FixtureRequest, tls_authority: TlsAuthority) -> Iterator[Caller]:
    """On the worker's event loop, and on the standard library's, which differ in what they keep of lost connections."""
    caller = Caller(request.param, ssl.create_default_context(cafile=str(tls_authority.ca)))
    yield caller
    caller.runner.close()


@pytest.fixture(params=[False, True], ids=["http", "https"])
def server(request: pytest.FixtureRequest, tls_authority: TlsAuthority) -> Iterator[Server]:
    with Server(lambda _: Reply(200, b"ok"), tls_authority.context if request.param else None) as server:
        yield server


def test_a_request_that_is_read_and_not_answered_may_have_arrived(caller: Caller, server: Server) -> None:
    for fault in (hang_after, reset_after, answer_cut_at(5)):
        server.faults.append(fault)
        error = caller.failure(server.url, timeout=IMPATIENT if fault is hang_after else PATIENT)

        assert error.may_have_arrived
        assert error.phase == "answer"


def test_a_large_request_that_is_read_and_not_answered_may_have_arrived(caller: Caller, server: Server) -> None:
    server.faults.append(reset_after)
    error = caller.failure(server.url, LARGE)

    assert error.may_have_arrived
    assert len(server.requests) == 1


@pytest.mark.parametrize("octets", [0, 1, 65_536, 1_000_000])
def test_a_large_request_that_is_cut_off_has_not_arrived(caller: Caller, server: Server, octets: int) -> None:
    server.faults.append(cut_at(octets))
    error = caller.failure(server.url, LARGE)

    assert not error.may_have_arrived
    assert error.phase == "request"


def test_a_large_request_that_is_not_read_has_not_arrived(caller: Caller, server: Server) -> None:
    server.faults.append(hang_before)
    error = caller.failure(server.url, LARGE, IMPATIENT)

    assert not error.may_have_arrived
    assert str(error) == "no answer in time"


def test_an_unfinished_tls_handshake_counts_as_no_connection(caller: Caller) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        error = caller.failure(f"https://127.0.0.1:{listener.getsockname()[1]}", timeout=IMPATIENT)

    assert (error.phase, error.may_have_arrived) == ("connect", False)
    assert str(error) == "no connection in time"


def test_a_server_without_tls_counts_as_no_connection(caller: Caller) -> None:
    with Server(lambda _: Reply(200)) as server:
        error = caller.failure(server.url.replace("http:", "https:"))

    assert not error.may_have_arrived
    assert error.phase in ("connect", "tls")
    assert not server.requests


def test_the_wait_before_a_request_is_not_part_of_its_timeout(caller: Caller, server: Server) -> None:
    async def begin() -> bool:
        await asyncio.sleep(2 * IMPATIENT)
        return True

    with caller.connected(IMPATIENT) as connection:
        assert caller.post(connection, server.url, begin=begin).body == b"ok"


def test_nothing_is_sent_if_begin_returns_false(caller: Caller, server: Server) -> None:
    async def begin() -> bool:
        return False

    with caller.connected() as connection:
        with pytest.raises(TakenOver):
            caller.post(connection, server.url, begin=begin)
        assert not server.requests
        caller.post(connection, server.url)


def test_an_error_in_begin_is_raised_and_nothing_is_sent(caller: Caller, server: Server) -> None:
    async def begin() -> bool:
        raise LookupError

    with caller.connected() as connection:
        with pytest.raises(LookupError):
            caller.post(connection, server.url, begin=begin)
        assert not server.requests


def test_a_connection_is_reused_without_cookies(caller: Caller, server: Server) -> None:
    with caller.connected() as connection:
        server.faults.append(answering(200, b"ok", Set_Cookie="a=1"))
        for _ in range(3):
            caller.post(connection, server.url)

    assert server.connections == 1
    assert all("cookie" not in received.headers for received in server.requests)


def test_an_answer_of_any_length_is_read_up_to_the_limit(caller: Caller, server: Server) -> None:
    with caller.connected() as connection:
        server.faults.append(answering(400, b"x" * 1_000_000))
        assert caller.post(connection, server.url).body == b"x" * BODY_LIMIT
        assert caller.post(connection, server.url).body == b"ok"

    assert server.connections == 2


def test_an_endless_response_head_is_no_answer(caller: Caller, server: Server) -> None:
    server.faults.append(saying(b"HTTP/1.1 200 OK\r\nA: " + b"x" * 100_000))
    error = caller.failure(server.url)

    assert error.may_have_arrived
    assert str(error) == "the answer is not HTTP"


def test_an_interim_response_is_skipped(caller: Caller, server: Server) -> None:
    server.faults.append(saying(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
    with caller.connected() as connection:
        assert caller.post(connection, server.url).status == 200


def test_a_proxy_in_the_environment_is_not_used(caller: Caller, server: Server) -> None:
    nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:1")
    with mock.patch.dict("os.environ", nowhere), caller.connected() as connection:
        assert caller.post(connection, server.url).body == b"ok"


def test_a_request_body_arrives_unchanged(caller: Caller, server: Server) -> None:
    body = bytes(range(256)) * 5_000
    with caller.connected() as connection:
        caller.post(connection, f"{server.url}/a/b", body)

    [received] = server.requests
    assert received == Received("POST", "/a/b", received.headers, body)
    assert received.headers["content-length"] == str(len(body))
