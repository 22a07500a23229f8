"""The HTTP client for channels, against faulty servers: it knows the phase of each failure."""

from __future__ import annotations

import asyncio
import gzip
import os
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
import uvloop
from hypothesis import HealthCheck, given
from hypothesis import settings as checking
from hypothesis import strategies as st

from actors.channels.webhook.guarded_connector import ANSWER_LIMIT, GuardedConnector
from actors.channels.webhook.http_client import BODY_LIMIT, Answer, HttpClient, HttpError, Request
from actors.channels.webhook.name_resolver import Lookup, NameResolver, look_up
from actors.channels.webhook.url_guard import NotPublic, Target, UrlRejected
from tests.conftest import TlsAuthority
from tests.eventually import eventually
from tests.hooks import OK, Hooks, saying, status

LOCAL = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
PATIENT, IMPATIENT = 20.0, 1.0  # seconds; the latter only for what hangs

Begin = Callable[[], Coroutine[Any, Any, bool]]


async def yes() -> bool:
    """Allow the request to begin, since no other worker has taken the notification over."""
    return True


class Caller:
    """The client, with an event loop of its own."""

    def __init__(self, loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self.runner = asyncio.Runner(loop_factory=loop)

    def post(
        self,
        url: str,
        *,
        begin: Begin = yes,
        body: bytes = b"{}",
        timeout: float = PATIENT,
        look_up: Lookup = look_up,
        context: ssl.SSLContext | None = None,
    ) -> Answer:
        client = HttpClient(LOCAL, timeout, look_up, context)

        async def post() -> Answer:
            try:
                return await client.post(Request(url, {"Content-Type": "application/json"}, body), begin)
            finally:
                await client.close()

        return self.runner.run(post())

    def failure(self, url: str, **how: Any) -> HttpError:
        """Return the error of a POST that fails."""
        with pytest.raises(HttpError) as caught:
            self.post(url, **how)
        return caught.value


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def caller(request: pytest.FixtureRequest) -> Iterator[Caller]:
    """On the worker's event loop, and on the standard library's, whose words for the same failures differ."""
    caller = Caller(request.param)
    yield caller
    caller.runner.close()


@pytest.fixture
def hooks() -> Iterator[Hooks]:
    with Hooks() as hooks:
        yield hooks


@pytest.fixture(autouse=True)
def nothing_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Neither by us nor by a library: what a stranger's server does is in the answer or the error alone."""
    yield
    assert not caplog.records


def reset(client: socket.socket) -> None:
    """End the connection as a server does that has crashed."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a Path would look at each, and they come and go


def then_reset(*pieces: bytes) -> Callable[[socket.socket], None]:
    def answer(client: socket.socket) -> None:
        saying(*pieces)(client)
        reset(client)

    return answer


class Pouring:
    """Answers with `head`, and then with `piece` for as long as somebody reads. `cut_off`: nobody does any more."""

    def __init__(self, head: bytes, piece: bytes) -> None:
        self._head, self._piece = head, piece * (65_536 // len(piece))
        self.cut_off = threading.Event()

    def __call__(self, client: socket.socket) -> None:
        try:
            client.sendall(self._head)
            for _ in range(2_000):
                client.sendall(self._piece)
        except OSError:
            self.cut_off.set()


# where it connects


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "0.0.0.0"])
def test_an_ip_address_in_a_url_is_checked_again_when_connecting(caller: Caller, hooks: Hooks, host: str) -> None:
    """aiohttp asks no resolver about it, so this must hold without what judges the URL before."""
    target = Target("https", host, hooks.port, "/")

    async def connect() -> None:
        connector = GuardedConnector(target, (), NameResolver(), ssl.create_default_context(), yes)
        async with aiohttp.ClientSession(connector=connector) as session:
            await session.get(f"https://{target.authority}/")

    with pytest.raises(aiohttp.ClientConnectorError) as caught:
        caller.runner.run(connect())
    assert isinstance(caught.value.os_error, NotPublic)
    assert not hooks.connections


@pytest.mark.parametrize(
    "url", ["https://127.1/", "https://2130706433/", "https://0x7f.1/", "http://8.8.8.8/", "ftp://a"]
)
def test_a_url_is_checked_before_any_lookup_or_connection(caller: Caller, url: str) -> None:
    with pytest.raises(UrlRejected):
        caller.post(url, look_up=lambda _host, _port: pytest.fail("looked up"))


def test_a_host_name_is_resolved_once_for_all_its_addresses(caller: Caller, hooks: Hooks) -> None:
    """Where the first address refuses, the next one is of the same answer, and was judged with it."""
    asked: list[str] = []

    def two(host: str, port: int) -> Any:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port)) for a in ("127.0.0.2", "127.0.0.1")]

    assert caller.post(f"http://two.example:{hooks.port}/", look_up=two).status == 200
    assert asked == ["two.example"]


def test_the_path_of_a_url_is_sent_unchanged(caller: Caller, hooks: Hooks) -> None:
    caller.post(f"http://127.0.0.1:{hooks.port}/%7E/..//a;b?x=%0d%0a&y=a+b&z='\"<>")
    assert hooks.posts[0].line == "POST /%7E/..//a;b?x=%0d%0a&y=a+b&z='\"<> HTTP/1.1"


def test_proxies_and_credentials_of_the_environment_are_not_used(
    caller: Caller, hooks: Hooks, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    caller.post(hooks.url)
    assert "authorization" not in hooks.posts[0].headers


def test_neither_cookies_nor_connections_are_kept(caller: Caller, hooks: Hooks) -> None:
    hooks.answer = status(200, "Set-Cookie: a=b", "Connection: keep-alive", body="OK")
    caller.post(hooks.url)
    caller.post(hooks.url)
    assert hooks.connections == 2
    assert all("cookie" not in post.headers for post in hooks.posts)
    assert hooks.posts[0].headers["connection"] == "close"


def test_a_redirect_to_a_metadata_address_is_not_followed(caller: Caller, hooks: Hooks) -> None:
    hooks.answer = status(307, "Location: http://169.254.169.254/latest/meta-data/")
    assert caller.post(hooks.url).status == 307
    assert hooks.connections == 1


def test_the_executor_of_the_event_loop_is_not_used(caller: Caller, hooks: Hooks) -> None:
    """Look-ups of names that nobody answers for would fill it."""
    executor = ThreadPoolExecutor()
    executor.shutdown()
    caller.runner.get_loop().set_default_executor(executor)
    assert caller.post(f"http://localhost:{hooks.port}/").status == 200


# how much of an answer is read


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\nX: ", b"y"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"y\r\n\ty"),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        (b"HTTP/1.1 200 O", b"K"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
        (b"", b"\r\n"),
        (b"", b"\0"),
    ],
    ids=["header", "folded header", "headers", "reason", "100", "103", "empty lines", "zeros"],
)
def test_an_endless_response_head_is_cut_off(caller: Caller, hooks: Hooks, head: bytes, piece: bytes) -> None:
    hooks.answer = pouring = Pouring(head, piece)
    error = caller.failure(hooks.url)
    assert (error.phase, error.may_have_arrived, error.timed_out) == ("answer", True, False)
    assert pouring.cut_off.wait(60)


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ],
    ids=["until the end", "length", "chunks", "chunk extension", "trailers", "answers"],
)
def test_an_endless_response_body_is_cut_off_and_the_status_counts(
    caller: Caller, hooks: Hooks, head: bytes, piece: bytes
) -> None:
    hooks.answer = pouring = Pouring(head, piece)
    answer = caller.post(hooks.url)
    assert answer.status == 200
    assert len(answer.body) <= BODY_LIMIT
    assert pouring.cut_off.wait(60)


def test_a_long_response_head_is_read_up_to_the_limit(caller: Caller, hooks: Hooks) -> None:
    policy = "Content-Security-Policy: " + "x" * 50_000
    hooks.answer = status(200, policy, policy.replace("Content", "Other"), body="OK")
    assert caller.post(hooks.url)[:3] == (200, "Said", b"OK")
    hooks.answer = status(200, *[f"X-{n}: {'x' * 50_000}" for n in range(1 + ANSWER_LIMIT // 50_000)], body="OK")
    assert f"longer than {ANSWER_LIMIT} bytes" in str(caller.failure(hooks.url))


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, gzip"])
def test_compressed_bodies_are_not_decompressed(caller: Caller, hooks: Hooks, coding: str) -> None:
    bomb = gzip.compress(bytes(10_000_000))
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {len(bomb)}\r\n\r\n"
    hooks.answer = saying(head.encode(), bomb)
    assert caller.post(hooks.url).body == bomb[:BODY_LIMIT]
    assert hooks.posts[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nOK",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK and more",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOKHTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOK\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOK\r\nzzz\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nOK",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + OK,
    ],
    ids=["short", "long", "two answers", "no last chunk", "no chunk", "1.0", "after others"],
)
def test_a_response_body_of_a_wrong_length_does_not_change_the_status(
    caller: Caller, hooks: Hooks, said: bytes
) -> None:
    for pieces in ((said,), said.splitlines(keepends=True)):
        hooks.answer = saying(*pieces)
        answer = caller.post(hooks.url)
        assert answer.status == 200
        assert answer.body in (b"OK", b"")


@pytest.mark.parametrize(
    "said",
    [
        b"<html>hello</html>",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 -200 OK\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"+PONG\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nOK",
        b"HTTP/1.1 200 OK\r\nX\x00: y\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: y",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
)
def test_an_answer_that_is_not_http_is_an_error(caller: Caller, hooks: Hooks, said: bytes) -> None:
    hooks.answer = saying(said)
    error = caller.failure(hooks.url)
    assert (error.phase, error.may_have_arrived, error.timed_out) == ("answer", True, False)
    assert error.text


@checking(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=st.binary(max_size=200) | st.binary(max_size=100).map(lambda some: b"HTTP/1.1 200 OK\r\n" + some))
def test_arbitrary_bytes_are_read_as_an_answer_or_raise_an_answer_error(said: bytes) -> None:
    caller = Caller(uvloop.new_event_loop)
    with caller.runner, Hooks(saying(said)) as hooks:
        try:
            commit = caller.post(hooks.url).status > 0
        except HttpError as error:
            commit = error.phase == "answer" and error.may_have_arrived
    assert commit


@checking(deadline=None, max_examples=15)
@given(
    framing=st.sampled_from(["Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n", ""]),
    rest=st.binary(max_size=100) | st.binary(max_size=20).map(lambda some: b"3\r\nabc\r\n" + some),
)
def test_the_status_counts_whatever_follows_the_head(framing: str, rest: bytes) -> None:
    caller = Caller(uvloop.new_event_loop)
    head = f"HTTP/1.1 202 Taken\r\nConnection: close\r\n{framing}\r\n"
    with caller.runner, Hooks(saying(head.encode() + rest)) as hooks:
        assert caller.post(hooks.url).status == 202


# how far it came


def test_a_refused_connection_means_that_nothing_has_arrived(caller: Caller) -> None:
    error = caller.failure("http://127.0.0.1:9999/")
    assert (error.phase, error.may_have_arrived, str(error)) == ("connect", False, "Connection refused")


def test_resolved_addresses_are_in_no_error(caller: Caller) -> None:
    def two(_host: str, port: int) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port)) for a in ("127.0.0.2", "127.0.0.3")]

    error = caller.failure("http://two.example:9999/", look_up=two)
    assert error.phase == "connect"
    assert "127.0.0" not in str(error)


@pytest.mark.parametrize("end", [reset, lambda client: client.close()], ids=["reset", "close"])
def test_a_connection_closed_before_tls_means_that_nothing_arrived(
    caller: Caller, end: Callable[[socket.socket], None]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            client, _ = listener.accept()
            client.recv(1)
            end(client)

        thread = threading.Thread(target=serve)
        thread.start()
        error = caller.failure(f"https://127.0.0.1:{listener.getsockname()[1]}/")
        thread.join(60)
    assert (error.phase, error.may_have_arrived, error.timed_out) == ("tls", False, False)


@pytest.mark.parametrize("pieces", [(), (b"HTTP/1.1 2",), (b"HTTP/1.1 200 OK\r\nX: y\r\n",)], ids=str)
def test_a_connection_reset_after_the_request_leaves_the_outcome_unknown(
    caller: Caller, hooks: Hooks, pieces: tuple[bytes, ...]
) -> None:
    hooks.answer = then_reset(*pieces)
    error = caller.failure(hooks.url)
    assert (error.phase, error.may_have_arrived) == ("answer", True)


def test_a_connection_reset_in_the_response_body_keeps_the_status(caller: Caller, hooks: Hooks) -> None:
    told = threading.Event()

    def answer(client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 201 Made\r\nContent-Length: 5\r\n\r\nO")
        client.shutdown(socket.SHUT_WR)  # A reset would overtake what was said.
        told.set()

    hooks.answer = answer
    assert caller.post(hooks.url)[:2] == (201, "Made")
    assert told.wait(60)


def test_a_request_that_the_server_does_not_read_fails_in_the_phase_of_sending(caller: Caller) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        error = caller.failure(f"http://127.0.0.1:{deaf.getsockname()[1]}/", body=bytes(50_000_000), timeout=IMPATIENT)
    assert (error.phase, error.may_have_arrived, error.timed_out) == ("request", True, True)


def test_a_request_is_not_sent_if_begin_returns_false(caller: Caller, hooks: Hooks) -> None:
    async def refuse() -> bool:
        await asyncio.to_thread(eventually, lambda: hooks.connections)
        return False

    error = caller.failure(hooks.url, begin=refuse)
    assert (error.phase, error.may_have_arrived) == ("request", False)
    assert not hooks.posts


def test_a_begin_that_returns_too_late_counts_as_refused(caller: Caller, hooks: Hooks) -> None:
    async def hesitate() -> bool:
        await asyncio.Event().wait()
        return True

    error = caller.failure(hooks.url, begin=hesitate, timeout=IMPATIENT)
    assert (error.phase, error.may_have_arrived, error.timed_out) == ("request", False, True)
    assert not hooks.posts


def test_an_error_raised_by_begin_is_not_taken_as_an_error_of_the_server(caller: Caller, hooks: Hooks) -> None:
    async def fail() -> bool:
        raise LookupError("a bug")

    with pytest.raises(LookupError, match="a bug"):
        caller.post(hooks.url, begin=fail)
    assert not hooks.posts


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_connection_to_a_server_that_hangs_is_closed(caller: Caller, scheme: str) -> None:
    left = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            client, _ = listener.accept()
            with client:
                client.settimeout(20)
                try:
                    while client.recv(65_536):
                        pass
                except ConnectionError:
                    pass
                left.set()

        thread = threading.Thread(target=serve)
        thread.start()
        error = caller.failure(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/", timeout=IMPATIENT)
        assert left.wait(60)
        thread.join(60)
    assert error.timed_out
    assert (error.phase, error.may_have_arrived) == (("answer", True) if scheme == "http" else ("tls", False))


def test_no_file_descriptor_is_left_open(caller: Caller, hooks: Hooks, tls_authority: TlsAuthority) -> None:
    caller.post(hooks.url)
    before = descriptors()
    with Hooks() as silent, Hooks(tls=tls_authority.context) as secured:
        silent.answer = silent.hang
        for _ in range(5):
            assert caller.failure(silent.url, timeout=IMPATIENT / 4).timed_out
            assert caller.failure(secured.url).phase == "tls"
            assert caller.failure("http://127.0.0.1:9999/").phase == "connect"
    eventually(lambda: descriptors() <= before, saying=lambda: (before, descriptors()))


def test_a_connection_is_closed_after_the_answer_without_waiting_for_the_end_of_tls(
    caller: Caller, tls_authority: TlsAuthority
) -> None:
    """TLS has one, and a server that does not take part in it would hold a descriptor of ours for half a minute."""
    trusting = ssl.create_default_context(cafile=str(tls_authority.ca))
    with Hooks(tls=tls_authority.context) as hooks:

        def answer(client: socket.socket) -> None:
            client.sendall(OK)
            hooks.hang(client)

        hooks.answer = answer
        url = f"https://localhost:{hooks.port}/"
        assert caller.post(url, context=trusting).status == 200
        before = descriptors()
        for _ in range(5):
            assert caller.post(url, context=trusting).status == 200
        # What is left is the server's, which is in this process too.
        eventually(lambda: descriptors() <= before + 5, saying=lambda: (before, descriptors()))


# TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def served(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@pytest.mark.parametrize(
    ("certificate", "reason"),
    [
        (lambda ca: ca.issue_cert("other.example"), "mismatch"),
        (lambda ca: ca.issue_cert("localhost", not_after=datetime(2020, 1, 1, tzinfo=UTC)), "expired"),
        (lambda _ca: trustme.CA().issue_cert("localhost"), "issuer"),
    ],
    ids=["wrong name", "expired", "unknown issuer"],
)
def test_an_invalid_certificate_is_reported_in_plain_words(
    caller: Caller, authority: trustme.CA, certificate: Callable[[trustme.CA], trustme.LeafCert], reason: str
) -> None:
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with Hooks(tls=served(certificate(authority))) as hooks:
        error = caller.failure(f"https://localhost:{hooks.port}/", context=trusting)
        assert not hooks.posts
    assert (error.phase, error.may_have_arrived) == ("tls", False)
    assert str(error).startswith("the server's certificate is not accepted: ")
    assert reason in str(error)


def test_a_server_without_tls_is_distinguished_from_an_unreachable_one(caller: Caller) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            client, _ = listener.accept()
            with client:
                client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\nThe plain HTTP request was sent to HTTPS port")
                client.recv(65_536)

        thread = threading.Thread(target=serve)
        thread.start()
        error = caller.failure(f"https://127.0.0.1:{listener.getsockname()[1]}/")
        thread.join(60)
    assert (error.phase, error.may_have_arrived) == ("tls", False)
    assert str(error).startswith("the TLS handshake failed: ")


def test_answers_over_tls_have_the_same_limits_as_without(caller: Caller, authority: trustme.CA) -> None:
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with Hooks(tls=served(authority.issue_cert("localhost"))) as hooks:
        url = f"https://localhost:{hooks.port}/"
        hooks.answer = status(201, body="x" * 2 * BODY_LIMIT)
        assert caller.post(url, context=trusting)[:3] == (201, "Said", b"x" * BODY_LIMIT)
        hooks.answer = pouring = Pouring(b"", b"HTTP/1.1 100 Continue\r\n\r\n")
        assert caller.failure(url, context=trusting).phase == "answer"
        assert pouring.cut_off.wait(60)
