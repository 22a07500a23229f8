"""The HTTP/2 client, against a scripted server. tests/servers/test_nginx_http2.py tests it against nginx."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import pytest
from h2.settings import SettingCodes

from actors.channels import Begin, always
from actors.channels.http_api import Answer, NoAnswer, Request
from actors.channels.http_begin import TakenOver
from actors.channels.push import http2
from actors.channels.push.http2 import Http2Client
from actors.channels.push.http2_stream import NotProcessed
from tests import loops
from tests.conftest import TlsAuthority
from tests.eventually import eventually
from tests.providers.http2_server import Exchange, Http2Server, hang_after
from tests.providers.server import Received, Reply


def echo(received: Received) -> Reply:
    return Reply(200, received.body, {"X-Path": received.target})


class Caller:
    def __init__(self, url: str, timeout: float = 20.0, context: ssl.SSLContext | None = None) -> None:
        self.url = url
        self.client = loops.run(_client(url, timeout, context or ssl.create_default_context()))

    def start(self, body: bytes = b"hello", begin: Begin = always) -> Future[Answer]:
        return loops.submit(self.client.post(Request(f"{self.url}/a", {"Content-Type": "text/plain"}, body), begin))

    def post(self, body: bytes = b"hello", begin: Begin = always) -> Answer:
        return self.start(body, begin).result(60)

    def failure(self, body: bytes = b"hello") -> NoAnswer:
        with pytest.raises(NoAnswer) as caught:
            self.post(body)
        return caught.value


async def _client(url: str, timeout: float, context: ssl.SSLContext) -> Http2Client:
    return Http2Client(url, timeout, min(timeout, 5.0), context)


@contextmanager
def served(timeout: float = 20.0, **initial: int) -> Iterator[tuple[Http2Server, Caller]]:
    with Http2Server(echo, initial={SettingCodes[name]: value for name, value in initial.items()}) as server:
        caller = Caller(server.url, timeout)
        try:
            yield server, caller
        finally:
            loops.run(caller.client.close())


@contextmanager
def server_that_says(octets: bytes) -> Iterator[str]:
    """A server that says this to whoever connects, and reads on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def talk() -> None:
            client, _ = listener.accept()
            with client:
                client.sendall(octets)
                while client.recv(65_536):
                    pass

        talking = threading.Thread(target=talk, daemon=True)
        talking.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        talking.join(10)


def test_a_request_and_its_answer_arrive_whole() -> None:
    with served() as (server, caller):
        answer = caller.post(b"x" * 60_000)

    assert (answer.status, answer.body) == (200, b"x" * 60_000)
    assert answer.headers["x-path"] == answer.headers["X-Path"] == "/a"
    assert server.requests[0].headers["content-type"] == "text/plain"


def test_requests_continue_when_the_server_enlarges_its_window() -> None:
    with served(INITIAL_WINDOW_SIZE=100) as (_, caller):
        started = [caller.start(bytes([65 + number]) * 50_000) for number in range(5)]
        answers = [one.result(60) for one in started]

    assert [answer.body for answer in answers] == [bytes([65 + number]) * 50_000 for number in range(5)]


def test_no_more_streams_are_opened_than_the_server_allows() -> None:
    with served(MAX_CONCURRENT_STREAMS=3) as (server, caller):
        started = [caller.start() for _ in range(30)]
        for one in started:
            one.result(60)

        assert server.connections == 1
        assert server.most_streams <= 3


def test_requests_that_wait_begin_when_the_server_allows_more_streams() -> None:
    with served(MAX_CONCURRENT_STREAMS=1) as (server, caller):
        held: list[Exchange] = []
        server.faults.extend([held.append] * 5)
        started = [caller.start() for _ in range(5)]
        eventually(lambda: len(held) == 1)
        server.links[0].settings(MAX_CONCURRENT_STREAMS=100)
        eventually(lambda: len(held) == 5)
        for exchange in held:
            exchange.answer(exchange.take())
        for one in started:
            assert one.result(60).status == 200


def test_a_server_that_allows_no_stream_gets_no_request() -> None:
    with served(0.5, MAX_CONCURRENT_STREAMS=0) as (server, caller):
        error = caller.failure()

        assert not server.requests
    assert isinstance(error, NotProcessed)
    assert not error.may_have_arrived


def test_goaway_says_which_requests_were_processed() -> None:
    with served() as (server, caller):
        held: list[Exchange] = []
        server.faults.extend([held.append] * 6)
        started = [caller.start(str(number).encode()) for number in range(6)]
        eventually(lambda: len(held) == 6)
        held[0].link.goaway(held[2].id, b"maintenance")
        unprocessed = {one.received.body for one in held[3:]}
        with_answer = {one.received.body for one in held[:3]}
        eventually(lambda: sum(one.done() for one in started) == 3)
        assert caller.post(b"new").body == b"new"
        assert server.connections == 2
        for exchange in held[:3]:
            exchange.answer(exchange.take())
        ends: dict[bytes, Any] = {}
        for number, one in enumerate(started):
            ends[str(number).encode()] = one.exception(60) or one.result()

    assert {body for body, end in ends.items() if isinstance(end, NotProcessed)} == unprocessed
    assert {body for body, end in ends.items() if isinstance(end, Answer)} == with_answer
    assert all("maintenance" in str(ends[body]) for body in unprocessed)


def test_a_request_that_the_server_has_not_read_to_its_end_has_certainly_not_arrived() -> None:
    with served(0.5) as (server, caller):
        caller.post()
        server.links[0].silent = True
        error = caller.failure(b"x" * 5_000_000)

    assert not error.may_have_arrived
    assert error.phase == "request"


def test_after_a_timeout_another_connection_is_used() -> None:
    with served(0.5) as (server, caller):
        server.faults.append(hang_after)
        error = caller.failure()
        assert caller.post().status == 200

        assert server.connections == 2
    assert error.may_have_arrived
    assert error.phase == "answer"


def test_a_connection_that_was_idle_is_tested_before_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http2, "IDLE", -1.0)
    with served() as (server, caller):
        assert caller.post().status == 200
        assert caller.post().status == 200
        assert server.connections == 1
        server.links[0].drop()
        assert caller.post().status == 200

        assert server.connections == 2


def test_a_silently_dead_connection_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http2, "IDLE", -1.0)
    monkeypatch.setattr(http2, "PING_TIMEOUT", 0.3)
    with served() as (server, caller):
        caller.post()
        server.links[0].silent = True
        assert caller.post().status == 200

        assert server.connections == 2


def test_nothing_is_sent_if_begin_returns_false() -> None:
    async def never() -> bool:
        return False

    with served() as (server, caller):
        with pytest.raises(TakenOver):
            caller.post(begin=never)

        assert not server.requests
        assert caller.post().status == 200


def test_a_connection_that_is_lost_while_begin_waits_is_replaced() -> None:
    with served() as (server, caller):
        caller.post()

        async def slow() -> bool:
            server.links[0].drop()
            while caller.client._connection is not None and caller.client._connection.usable:
                await asyncio.sleep(0.01)
            return True

        assert caller.post(begin=slow).status == 200
        assert server.connections == 2


@pytest.mark.parametrize(
    "octets",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\0\0\4\7\0\0\0\0\0abcd",  # a GOAWAY that is too short
        b"\xff\xff\xff\4\0\0\0\0\0" + b"x" * 1_000,
        b"\0" * 9 * 50,
    ],
)
def test_a_server_without_http2_counts_as_down(octets: bytes) -> None:
    with server_that_says(octets) as url:
        error = Caller(url, 2.0).failure()

    assert not error.may_have_arrived


def test_the_certificate_is_verified(tls_authority: TlsAuthority) -> None:
    trusting = ssl.create_default_context(cafile=str(tls_authority.ca))
    with Http2Server(echo, tls_authority.context) as server:
        refused = Caller(server.url).failure()
        trusted = Caller(server.url, context=trusting)
        answer = trusted.post()
        loops.run(trusted.client.close())

    assert answer.status == 200
    assert refused.phase == "tls"
    assert "certificate is not accepted" in refused.text


def test_the_test_server_speaks_http2_that_another_client_understands(tls_authority: TlsAuthority) -> None:
    with Http2Server(echo, tls_authority.context) as server:
        done = subprocess.run(
            [
                *("curl", "--silent", "--http2", "--cacert", str(tls_authority.ca), "--data", "hello"),
                *("--write-out", " %{http_version} %{http_code}", f"{server.url}/a"),
            ],
            capture_output=True,
            check=True,
            text=True,
        )

    assert done.stdout == "hello 2 200"
