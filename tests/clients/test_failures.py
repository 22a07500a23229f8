"""The clients without an answer or with an error: they repeat what is safe, and report what happened."""

from __future__ import annotations

import asyncio
import socket
import ssl
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from notification_client import (
    Client,
    ConnectionFailed,
    InvalidRequest,
    NotificationError,
    TooManyRequests,
    Unavailable,
    UnexpectedAnswer,
)
from tests.acceptance.world import World
from tests.clients.blocking import Blocking
from tests.clients.unreliable import unreliable
from tests.conftest import TlsAuthority
from tests.hooks import Answer, Hooks, saying, status
from tests.system import free_port

NewClient = Callable[..., Any]
MAIL: Any = {"type": "email", "recipient": "a@example.com", "message": "Hi"}
STORED = '{"id": 7, "type": "email", "recipient": "a@example.com", "status": "pending"}'
KEY = "ntf_live_1_secret"
JSON = "Content-Type: application/json"


@pytest.fixture(params=["Client", "AsyncClient"])
def new_client(request: pytest.FixtureRequest) -> Iterator[NewClient]:
    """Makes each client in turn, as Client."""
    if request.param == "Client":
        yield Client
        return
    with asyncio.Runner() as runner:
        made: list[Any] = []

        def make(*endpoint: Any, **options: Any) -> Any:
            made.append(Blocking.client(runner, *endpoint, **options))
            return made[-1]

        yield make
        for client in made:
            client.close()


@contextmanager
def answering(*answers: Answer) -> Iterator[tuple[str, Hooks]]:
    """Return the URL of a server that gives these answers, one after the other, and the server."""
    with Hooks() as hooks:
        left = list(answers)

        def answer(client: socket.socket) -> None:
            now = left.pop(0) if len(left) > 1 else left[0]
            now(client)

        hooks.answer = answer
        yield f"http://127.0.0.1:{hooks.port}", hooks


def test_a_send_whose_answer_is_lost_is_stored_once(new_client: NewClient, world: World, key: str) -> None:
    with unreliable(world.system.port, lost=2) as network:
        sent = new_client(network.base_url, key).send(**MAIL, tags=["lost"])

        assert len(set(network.keys)) == 1
        assert len(network.keys) == 3
    with Client(f"http://127.0.0.1:{world.system.port}", key) as direct:
        assert [found.id for found in direct.find(tag="lost")] == [sent.id]


def test_a_batch_whose_answer_is_lost_is_stored_once(new_client: NewClient, world: World, key: str) -> None:
    with unreliable(world.system.port, lost=1) as network:
        stored = new_client(network.base_url, key).send_all([MAIL, MAIL])
    with Client(f"http://127.0.0.1:{world.system.port}", key) as direct:
        assert {found.id for found in direct.find()} == {one.id for one in stored}


def test_a_cancellation_whose_answer_is_lost_is_not_repeated(new_client: NewClient, world: World, key: str) -> None:
    with Client(f"http://127.0.0.1:{world.system.port}", key) as direct:
        id = direct.send(**MAIL, send_at="2124-01-01T00:00:00Z").id
        with unreliable(world.system.port, lost=1) as network:
            with pytest.raises(ConnectionFailed) as raised:
                new_client(network.base_url, key).cancel(id)
            assert len(network.keys) == 1
        assert raised.value.may_have_arrived
        assert direct.get(id).status == "cancelled"


def test_a_stream_that_breaks_off_continues(new_client: NewClient, world: World, key: str) -> None:
    with Client(f"http://127.0.0.1:{world.system.port}", key) as direct:
        id = direct.send(**MAIL, send_at="2124-01-01T00:00:00Z").id
        direct.cancel(id)
    with unreliable(world.system.port, lost=1) as network:
        events = [change.event for change in new_client(network.base_url, key).watch(id)]
    assert [event for event in events if event not in ("status", "end")] == ["accepted", "cancelled"]


def test_an_error_without_an_answer_carries_the_key_to_repeat_with(new_client: NewClient) -> None:
    with answering(saying()) as (url, hooks), pytest.raises(ConnectionFailed) as raised:
        new_client(url, retry_for=0).send(**MAIL)
    assert raised.value.may_have_arrived
    assert raised.value.idempotency_key == hooks.posts[0].headers["idempotency-key"]


def test_an_unreachable_server_is_an_error_that_says_nothing_was_sent(new_client: NewClient) -> None:
    with pytest.raises(ConnectionFailed, match="no connection") as raised:
        new_client(f"http://127.0.0.1:{free_port()}", retry_for=0.3).send(**MAIL)
    assert not raised.value.may_have_arrived


def test_a_server_that_never_answers_times_out(new_client: NewClient) -> None:
    with Hooks() as hooks:
        hooks.answer = hooks.hang
        with pytest.raises(ConnectionFailed):
            new_client(f"http://127.0.0.1:{hooks.port}", timeout=0.2, retry_for=0).get(1)


@pytest.mark.parametrize("refusal", [status(429, "Retry-After: 0"), status(503, "Retry-After: 0"), status(502)])
def test_a_send_that_is_refused_for_now_is_repeated(new_client: NewClient, refusal: Answer) -> None:
    with answering(refusal, refusal, status(201, JSON, body=STORED)) as (url, hooks):
        assert new_client(url).send(**MAIL).id == 7
        assert len({post.headers["idempotency-key"] for post in hooks.posts}) == 1
        assert len(hooks.posts) == 3


def test_a_request_whose_key_is_in_use_is_repeated(new_client: NewClient) -> None:
    with answering(status(409, "Retry-After: 0"), status(201, JSON, body=STORED)) as (url, _):
        assert new_client(url).send(**MAIL).id == 7


def test_a_retry_after_above_the_limit_raises_at_once(new_client: NewClient) -> None:
    with answering(status(429, "Retry-After: 3600")) as (url, hooks):
        with pytest.raises(TooManyRequests) as raised:
            new_client(url).send(**MAIL)
        assert raised.value.retry_after == 3600
        assert len(hooks.posts) == 1


def test_a_cancellation_is_repeated_after_429_but_not_after_503(new_client: NewClient) -> None:
    with answering(status(429, "Retry-After: 0"), status(503, "Retry-After: 0")) as (url, hooks):
        with pytest.raises(Unavailable):
            new_client(url).cancel(7)
        assert len(hooks.posts) == 2


def test_a_500_is_not_repeated(new_client: NewClient) -> None:
    with answering(status(500)) as (url, hooks):
        with pytest.raises(Unavailable):
            new_client(url).send(**MAIL)
        assert len(hooks.posts) == 1


def test_a_redirect_is_not_followed_and_the_key_is_not_sent_elsewhere(new_client: NewClient) -> None:
    with Hooks() as elsewhere, answering(status(302, f"Location: http://127.0.0.1:{elsewhere.port}/")) as (url, _):
        with pytest.raises(UnexpectedAnswer, match="fix the base URL"):
            new_client(url, "secret").get(1)
        assert elsewhere.posts == []


@pytest.mark.parametrize("body", ["<html>", "[]", "{}", '{"id": 7}'])
def test_an_answer_that_is_not_of_the_api_is_reported_as_such(new_client: NewClient, body: str) -> None:
    with answering(status(200, body=body)) as (url, _), pytest.raises(UnexpectedAnswer):
        new_client(url).get(1)


@pytest.mark.parametrize("data", [b"[1]", b"{", b'{"notification": {}, "event": "sent"}'])
def test_a_stream_that_is_not_of_the_api_is_reported_as_such(new_client: NewClient, data: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    with answering(saying(head, b"data: " + data + b"\n\n")) as (url, _), pytest.raises(UnexpectedAnswer):
        list(new_client(url).stream())


def test_an_export_that_breaks_off_continues_after_its_last_line(new_client: NewClient) -> None:
    first = '{"kind": "client", "cursor": "a", "data": {}}\n{"kind": "cli'
    rest = '{"kind": "key", "cursor": "b", "data": {}}\n{"kind": "end", "count": 2}\n'
    with answering(status(200, body=first), status(200, body=rest)) as (url, hooks):
        assert [line["kind"] for line in new_client(url).data.export()] == ["client", "key"]
        assert [post.line for post in hooks.posts] == [
            *("GET /api/export HTTP/1.1", "GET /api/export?after=a HTTP/1.1"),
        ]


def test_an_error_page_of_a_proxy_is_an_error_with_its_status(new_client: NewClient) -> None:
    with answering(status(413, body="<html>too large</html>")) as (url, _):
        with pytest.raises(InvalidRequest) as raised:
            new_client(url).send(**MAIL)
        assert (raised.value.status, raised.value.errors) == (413, [])


def test_a_certificate_of_an_unknown_authority_ends_the_call(
    new_client: NewClient, tls_authority: TlsAuthority
) -> None:
    with Hooks(tls=tls_authority.context) as hooks:
        with pytest.raises(ConnectionFailed, match="TLS failed") as raised:
            new_client(f"https://127.0.0.1:{hooks.port}").get(1)
        assert hooks.posts == []
    assert (raised.value.may_have_arrived, raised.value.permanent) == (False, True)


def test_a_custom_certificate_authority_can_be_trusted(new_client: NewClient, tls_authority: TlsAuthority) -> None:
    context = ssl.create_default_context(cafile=str(Path(tls_authority.ca)))
    with Hooks(tls=tls_authority.context) as hooks:
        hooks.answer = status(200, JSON, body=STORED)
        assert new_client(f"https://127.0.0.1:{hooks.port}", ssl_context=context).get(7).id == 7


@pytest.mark.parametrize("answer", [saying(), saying(b"nonsense\r\n\r\n"), status(500), status(302)])
def test_no_error_shows_the_key(new_client: NewClient, answer: Answer) -> None:
    with answering(answer) as (url, _), pytest.raises(NotificationError) as raised:
        new_client(url, KEY, retry_for=0).get(1)
    assert KEY not in "".join(traceback.format_exception(raised.value)) + repr(raised.value)


@pytest.mark.parametrize(
    ("base_url", "key", "message"),
    [
        ("notify.example.com", None, "must be a URL"),
        ("ftp://notify.example.com", None, "must be a URL"),
        ("https://user:pass@notify.example.com", None, "must have no user"),
        ("https://notify.example.com?a=1", None, "must have no user"),
        ("https://notify.example.com", "secret\r\nX: 1", "without spaces or line breaks"),
        ("https://notify.example.com", "sécret", "without spaces or line breaks"),
    ],
)
def test_a_malformed_address_or_key_is_refused_at_once(
    new_client: NewClient, base_url: str, key: str | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        new_client(base_url, key)
    assert "secret" not in str(raised.value)
    assert "pass@" not in str(raised.value)
