"""The callback channel: its requests, and the outcome of each answer, also of malformed ones."""

from __future__ import annotations

import base64
import hashlib
import hmac
import socket
import threading
from typing import Any

import pytest

from actors.channels import Deferred, Receipt, Refused, Uncertain
from db import callbacks
from db.database import rows
from tests.eventually import eventually
from tests.hooks import OK, Hooks, saying, status
from tests.integration.calling import BODY, IMPATIENT, SECRET, Make, failure, hooks, make, to

__all__ = ["hooks", "make"]


def verified(post: Any, secret: str) -> bool:
    """Return whether the signature is valid, checked by the letter of the standard as a receiver does."""
    key = base64.b64decode(secret.split("_", 1)[1])
    content = b".".join([post.headers["webhook-id"].encode(), post.headers["webhook-timestamp"].encode(), post.body])
    expected = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return any(
        version == "v1" and hmac.compare_digest(signature, expected)
        for version, _, signature in (part.partition(",") for part in post.headers["webhook-signature"].split(" "))
    )


# what is sent


def test_a_callback_is_posted_unchanged_and_signed(make: Make, hooks: Hooks) -> None:
    receipt = make().send(to(hooks.url))

    [post] = hooks.posts
    assert post.line == "POST /hook?a=1 HTTP/1.1"
    assert post.body == BODY.encode()
    assert post.headers["host"] == f"127.0.0.1:{hooks.port}"
    assert post.headers["content-type"] == "application/json"
    assert post.headers["webhook-id"] == "msg_7"
    [(now,)] = rows("SELECT extract(epoch FROM now())::bigint")
    assert abs(int(post.headers["webhook-timestamp"]) - now) < 30
    assert verified(post, SECRET)
    assert not verified(post._replace(body=post.body + b" "), SECRET)
    assert not verified(post._replace(headers=post.headers | {"webhook-timestamp": "1"}), SECRET)
    assert receipt == Receipt("answer", 200, None, "200 OK OK")


def test_after_a_rotation_both_secrets_sign(make: Make, hooks: Hooks) -> None:
    callback = to(hooks.url)
    new = "whsec_" + base64.b64encode(b"n" * 32).decode()
    callbacks.rotate(1, callback.callback_id or 0, new, 60)

    make().send(callback)

    assert verified(hooks.posts[0], SECRET)
    assert verified(hooks.posts[0], new)
    assert len(hooks.posts[0].headers["webhook-signature"].split(" ")) == 2


def test_each_attempt_has_the_same_id(make: Make, hooks: Hooks) -> None:
    channel, callback = make(), to(hooks.url)
    for _ in range(2):
        channel.send(callback)
    assert [post.headers["webhook-id"] for post in hooks.posts] == ["msg_7"] * 2


def test_a_changed_or_reenabled_endpoint_gets_the_next_attempt(make: Make, hooks: Hooks) -> None:
    channel, callback = make(), to("http://127.0.0.1:9/")
    callbacks.change(1, callback.callback_id or 0, {"url": hooks.url})
    channel.send(callback)
    assert hooks.posts


def test_a_callback_that_another_worker_has_claimed_is_not_posted(make: Make, hooks: Hooks) -> None:
    async def refuse() -> bool:
        return False

    with pytest.raises(Deferred, match="another worker"):
        make().send(to(hooks.url), refuse)
    assert not hooks.posts


@pytest.mark.parametrize("proxy", ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"])
def test_proxies_of_the_environment_are_not_used(
    make: Make, hooks: Hooks, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv(proxy, "http://127.0.0.1:9")
    make().send(to(hooks.url))
    assert hooks.posts


# what comes back


@pytest.mark.parametrize("code", [200, 201, 202, 204, 299])
def test_any_2xx_status_means_delivered(make: Make, hooks: Hooks, code: int) -> None:
    hooks.answer = status(code)
    assert make().send(to(hooks.url)).reply_code == code


@pytest.mark.parametrize("code", [300, 400, 401, 404, 418, 429, 500, 503, 599])
def test_any_other_status_is_retried(make: Make, hooks: Hooks, code: int) -> None:
    hooks.answer = status(code, body="no\r\n\x1b[31mway")
    undelivered = failure(make(), to(hooks.url))
    assert isinstance(undelivered, Deferred)
    assert undelivered.receipt == ("answer", code, None, f"{code} Said no   [31mway", None)


def test_410_disables_the_endpoint(make: Make, hooks: Hooks) -> None:
    hooks.answer = status(410, body="stop")
    channel, callback = make(), to(hooks.url)
    assert isinstance(failure(channel, callback), Refused)
    endpoint = callbacks.endpoint(1, callback.callback_id or 0)
    assert endpoint is not None
    assert endpoint["disabled_at"]
    assert endpoint["disabled_reason"] == "410 Said stop"
    assert "disabled" in str(failure(channel, callback))
    assert len(hooks.posts) == 1


def test_a_deleted_endpoint_gets_no_callback(make: Make, hooks: Hooks) -> None:
    callback = to(hooks.url)
    callbacks.delete(1, callback.callback_id or 0)
    assert isinstance(failure(make(), callback), Refused)
    assert not hooks.connections


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(make: Make, hooks: Hooks, code: int) -> None:
    with Hooks() as inside:
        hooks.answer = status(code, f"Location: {inside.url}")
        assert isinstance(failure(make(), to(hooks.url)), Deferred)
        assert not inside.connections


@pytest.mark.parametrize(
    "answer",
    [
        saying(b""),
        saying(b"220 smtp.example.com ESMTP\r\n"),
        saying(b"HTTP/1.1 abc\r\n\r\n"),
        saying(b"\0" * 1_000),
        saying(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1_000 + b"\r\n"),
        saying(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 2**20),
        saying(*[b"HTTP/1.1 100 Continue\r\n\r\n"] * 10_000),
    ],
    ids=["closes", "smtp", "no status", "zeros", "headers", "one header", "continues"],
)
def test_a_callback_without_an_answer_has_an_unknown_outcome(make: Make, hooks: Hooks, answer: Any) -> None:
    hooks.answer = answer
    undelivered = failure(make(), to(hooks.url))
    assert isinstance(undelivered, Uncertain)
    assert undelivered.receipt.phase == "answer"


@pytest.mark.parametrize(
    "answer",
    [
        saying(b"HTTP/1.1 500 \x1b[2Jred\x07\r\n\r\n"),
        saying(b"HTTP/1.1 500 \xff\xfe\xed\xa0\x80\r\n\r\n"),
        saying(b"HTTP/1.1 500 No\r\n\r\n\x1b]0;title\x07\n2026-01-01 level=error event=forged\x00\x85\xe2\x80\xa8"),
        saying(b"HTTP/1.1 200 \x1b[2JOK\nX: y\x00z\r\n\r\n"),
        saying(b"\x1b[2J\nevent=forged\r\x85\xe2\x80\xa8forged\r\n\r\n"),
        saying(b"HTTP/1.1 200 OK\r\nevent=forged\x1b[2J\r\n\r\n"),
    ],
    ids=["reason", "no UTF-8", "body", "header", "no HTTP", "no header"],
)
def test_an_endpoints_answer_cannot_forge_a_log_line(
    make: Make, hooks: Hooks, answer: Any, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    hooks.answer = answer
    text = failure(make(), to(hooks.url)).receipt.text  # which sees that it is one printable line
    rows("SELECT %s::text", text)  # and the database takes it
    captured = capfd.readouterr()
    assert "forged" not in captured.out + captured.err + caplog.text


def test_a_huge_answer_is_not_read_to_its_end(make: Make, hooks: Hooks) -> None:
    refused = threading.Event()

    def pour(client: socket.socket) -> None:
        try:
            client.sendall(b"HTTP/1.1 500 No\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 50_000_000)
        except OSError:
            refused.set()

    hooks.answer = pour
    assert len(failure(make(), to(hooks.url)).receipt.text) <= 500
    assert refused.wait(60), "all of it was read"


@pytest.mark.parametrize("pieces", [b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n" * 20, b"HTTP/1.1 200 O" + b"K" * 500])
def test_a_slowly_dripping_answer_times_out(make: Make, hooks: Hooks, pieces: bytes) -> None:
    said_all = threading.Event()

    def drip(client: socket.socket) -> None:
        saying(*(bytes([piece]) for piece in pieces), every=IMPATIENT / 5)(client)
        said_all.set()

    hooks.answer = drip
    # Each piece alone comes in time; together they take a hundred times as long.
    assert isinstance(failure(make(callback_timeout=IMPATIENT), to(hooks.url)), Uncertain)
    assert not said_all.is_set()


def test_a_slowly_dripping_body_does_not_change_the_status(make: Make, hooks: Hooks) -> None:
    hooks.answer = saying(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", *[b"x"] * 50, every=0.1)
    assert make(callback_timeout=IMPATIENT).send(to(hooks.url)).reply_code == 200


def test_an_endpoint_that_hangs_rests_for_a_while(make: Make, hooks: Hooks) -> None:
    hooks.answer = hooks.hang
    channel, callback, other = make(callback_timeout=IMPATIENT, callback_rest=3600), to(hooks.url), to(hooks.url)
    assert isinstance(failure(channel, callback), Uncertain)
    resting = failure(channel, callback)
    assert isinstance(resting, Deferred)
    assert resting.receipt.phase == "rest"
    assert hooks.connections == 1
    hooks.answer = saying(OK)
    channel.send(other)


def test_endpoint_is_tried_again_after_its_rest_and_callbacks_continue_if_it_answers(make: Make, hooks: Hooks) -> None:
    hooks.answer = hooks.hang
    channel, callback = make(callback_timeout=IMPATIENT, callback_rest=0.001), to(hooks.url)
    assert isinstance(failure(channel, callback), Uncertain)
    hooks.answer = saying(OK)

    def taken() -> bool:
        try:
            return channel.send(callback).reply_code == 200
        except Deferred:
            return False

    eventually(taken)
    assert all(taken() for _ in range(3))


def test_a_slow_name_lookup_delays_no_other_callback(make: Make) -> None:
    never = threading.Event()

    def hang(_host: str, _port: int) -> Any:
        never.wait(20)
        return []

    try:
        undelivered = failure(make(hang, callback_timeout=IMPATIENT), to("https://example.com/"))
    finally:
        never.set()
    assert (undelivered.outcome, undelivered.receipt.phase) == ("deferred", "resolve")


def test_an_unknown_host_name_is_retried(make: Make) -> None:
    def unknown(_host: str, _port: int) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    assert failure(make(unknown), to("https://example.com/")).receipt.phase == "resolve"


def test_a_refused_connection_is_retried(make: Make) -> None:
    undelivered = failure(make(), to("http://127.0.0.1:9999/"))
    assert (undelivered.outcome, undelivered.receipt.phase) == ("deferred", "connect")
