"""Providers of text messages that refuse, hang, disconnect or answer nonsense: the outcome claims no more than is
known."""

from __future__ import annotations

import time

import pytest

from actors.channels import Deferred, ProviderDown, Refused, Throttled, Uncertain
from actors.channels.sms.provider import APIS
from tests.integration.texting import IMPATIENT, provider
from tests.providers.server import (
    answer_cut_at,
    answer_twice,
    answering,
    close_after,
    cut_at,
    hang_after,
    hang_before,
    reset_after,
    saying,
)
from tests.providers.sms import TEXT, Fake

OF_ALL = pytest.mark.parametrize("kind", sorted(APIS))


@OF_ALL
def test_a_refused_connection_means_that_nothing_was_taken(kind: str) -> None:
    with provider(kind) as (server, fake, texter):
        server.refuse()
        error = texter.failure()

    assert isinstance(error, ProviderDown)
    assert error.receipt.phase == "connect"
    assert not fake.sink


@OF_ALL
@pytest.mark.parametrize("fault", [hang_after, reset_after])
def test_a_message_that_is_taken_without_an_answer_is_uncertain(kind: str, fault: object) -> None:
    with provider(kind, IMPATIENT) as (server, fake, texter):
        server.faults.append(fault)  # type: ignore[arg-type]
        error = texter.failure()

        assert isinstance(error, Uncertain)
        assert error.receipt.phase == "answer"
        assert len(fake.sink) == 1


@OF_ALL
@pytest.mark.parametrize("fault", [hang_before, cut_at(0), cut_at(10)])
def test_a_small_message_cut_off_while_sending_is_uncertain(kind: str, fault: object) -> None:
    with provider(kind, IMPATIENT) as (server, fake, texter):
        server.faults.append(fault)  # type: ignore[arg-type]
        error = texter.failure()

    assert isinstance(error, Uncertain)
    assert not fake.sink


@OF_ALL
def test_an_answer_cut_off_anywhere_before_the_id_leaves_the_message_uncertain(kind: str) -> None:
    with provider(kind) as (server, fake, texter):
        texter.send(TEXT._replace(id=0))
        whole = Fake(kind)(server.requests[0]).octets
        cuts = range(0, whole.index(b"id-1") + 4, 3)
        for octets in cuts:
            server.faults.append(answer_cut_at(octets))
            assert isinstance(texter.failure(TEXT._replace(id=octets + 1)), Uncertain)
        texter.send(TEXT._replace(id=9_999))

    assert len(fake.sink) == 2 + len(cuts)


@OF_ALL
def test_a_second_answer_is_not_taken_as_the_answer_to_the_next_message(kind: str) -> None:
    with provider(kind) as (server, fake, texter):
        server.faults.append(answer_twice)
        first = texter.send()
        second = texter.send(TEXT._replace(id=6))

    assert (first.text[-4:], second.text[-4:]) == ("id-1", "id-2")
    assert len(fake.sink) == 2


@OF_ALL
def test_a_connection_that_the_provider_closes_between_messages_is_opened_again(kind: str) -> None:
    with provider(kind) as (server, fake, texter):
        server.faults.append(close_after)
        assert "id-1" in texter.send().text
        assert "id-2" in texter.send(TEXT._replace(id=6)).text

    assert len(fake.sink) == 2


@OF_ALL
@pytest.mark.parametrize("octets", [b"hello\r\n", b"\x00" * 100, b"HTTP/9.9 abc\r\n\r\n"])
def test_an_answer_that_is_not_http_is_uncertain(kind: str, octets: bytes) -> None:
    with provider(kind, IMPATIENT) as (server, fake, texter):
        server.faults.append(saying(octets))

        assert isinstance(texter.failure(), Uncertain)
        assert len(fake.sink) == 1


@OF_ALL
@pytest.mark.parametrize("body", [b"", b"[]", b"<html>Welcome to our hotel</html>", b"{", b"null", b"\xff"])
def test_a_success_without_the_id_of_a_message_is_uncertain(kind: str, body: bytes) -> None:
    with provider(kind) as (server, _, texter):
        server.faults.append(saying(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)))
        error = texter.failure()

    assert isinstance(error, Uncertain)
    assert "without the id" in str(error)


@OF_ALL
@pytest.mark.parametrize("status", [500, 502, 504])
def test_a_server_error_after_the_message_is_uncertain(kind: str, status: int) -> None:
    with provider(kind) as (server, _, texter):
        server.faults.append(answering(status, {"message": "oops"}))
        error = texter.failure()

    assert isinstance(error, Uncertain)
    assert error.receipt.reply_code == status


@OF_ALL
def test_a_provider_that_is_not_available_has_not_taken_the_message(kind: str) -> None:
    with provider(kind) as (server, _, texter):
        server.faults.append(answering(503, b"no healthy upstream", Retry_After="7"))
        begun = time.monotonic()
        error = texter.failure()

        assert isinstance(error, Deferred)
        assert texter.provider.limits.pause(begun) >= 7
        assert texter.provider.limits.pause(time.monotonic()) <= 7


@OF_ALL
def test_too_many_requests_is_throttled_and_retry_after_is_kept(kind: str) -> None:
    with provider(kind) as (server, _, texter):
        server.faults.append(answering(429, {"message": "Too many requests"}, Retry_After="120"))
        begun = time.monotonic()
        error = texter.failure()

        assert isinstance(error, Throttled)
        assert texter.provider.limits.pause(begun) >= 120
        assert texter.provider.limits.pause(time.monotonic()) <= 120


@OF_ALL
def test_a_redirect_is_not_followed(kind: str) -> None:
    with provider(kind) as (server, fake, texter):
        server.faults.append(answering(307, b"", Location=server.url))
        error = texter.failure()

        assert not server.requests
    assert isinstance(error, ProviderDown)
    assert not fake.sink


@OF_ALL
def test_an_endless_answer_is_cut_off(kind: str) -> None:
    with provider(kind) as (server, _, texter):
        server.faults.append(answering(400, b"x" * 5_000_000))

        assert isinstance(texter.failure(), Refused)


@OF_ALL
def test_an_answer_that_repeats_the_secret_is_stored_without_it(kind: str) -> None:
    with provider(kind) as (server, _, texter):
        secret = texter.provider.account.secret
        quoted = secret.replace("/", "%2F").replace("+", "%2B")
        server.faults.append(answering(400, f"you sent {secret} and {quoted}".encode()))
        error = texter.failure()  # which looks for it

    assert "***" in str(error)
    assert quoted not in str(error)
