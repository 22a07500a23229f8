"""Mail providers that refuse, hang, disconnect or answer nonsense: the outcome claims no more than is known."""

from __future__ import annotations

import time

import pytest

from actors.channels import Deferred, ProviderDown, Refused, Throttled, Uncertain
from actors.channels.email.http.provider import APIS
from tests.integration.http_mailing import IMPATIENT, Mailer, provider
from tests.providers.apis import Fake
from tests.providers.mails import LARGE, LARGE_CONTENTS, PLAIN
from tests.providers.server import (
    answer_cut_at,
    answering,
    cut_at,
    hang_after,
    hang_before,
    reset_after,
    saying,
)

KINDS = sorted(APIS)
OF_ALL = pytest.mark.parametrize("kind", KINDS)
# SendGrid answers without a body: its status and a header say all.
WITH_BODY = pytest.mark.parametrize("kind", sorted({*KINDS} - {"sendgrid"}))


@OF_ALL
def test_a_refused_connection_means_that_nothing_was_taken(kind: str) -> None:
    with provider(kind) as (server, fake, mailer):
        server.refuse()
        error = mailer.failure()

    assert isinstance(error, ProviderDown)
    assert error.receipt.phase == "connect"
    assert "refused" in str(error)
    assert not fake.sink


def test_a_host_that_is_not_in_the_dns_means_that_nothing_was_taken() -> None:
    mailer = Mailer("postmark", "https://nowhere.invalid")
    error = mailer.failure()
    mailer.hang_up()

    assert isinstance(error, ProviderDown)
    assert error.receipt.phase == "connect"


@OF_ALL
def test_a_provider_that_reads_nothing_has_certainly_not_taken_a_large_mail(kind: str) -> None:
    with provider(kind, IMPATIENT) as (server, fake, mailer):
        server.faults.append(hang_before)
        error = mailer.failure(LARGE, LARGE_CONTENTS)

        assert isinstance(error, ProviderDown)
        assert error.receipt.phase == "request"
        assert not fake.sink


@OF_ALL
def test_a_connection_cut_in_the_middle_of_a_large_mail_has_certainly_not_taken_it(kind: str) -> None:
    with provider(kind) as (server, fake, mailer):
        server.faults.append(cut_at(500_000))
        error = mailer.failure(LARGE, LARGE_CONTENTS)

    assert isinstance(error, ProviderDown)
    assert error.receipt.phase == "request"
    assert not fake.sink


@OF_ALL
def test_a_mail_that_is_taken_without_an_answer_is_uncertain(kind: str) -> None:
    with provider(kind, IMPATIENT) as (server, fake, mailer):
        server.faults.append(hang_after)
        error = mailer.failure()

        assert isinstance(error, Uncertain)
        assert error.receipt.phase == "answer"
        assert len(fake.sink) == 1


@OF_ALL
def test_a_connection_that_breaks_after_the_mail_is_uncertain(kind: str) -> None:
    with provider(kind) as (server, fake, mailer):
        server.faults.append(reset_after)
        error = mailer.failure()

    assert isinstance(error, Uncertain)
    assert error.receipt.phase == "answer"
    assert len(fake.sink) == 1


@OF_ALL
def test_a_small_mail_cut_off_while_sending_is_uncertain(kind: str) -> None:
    """The operating system had taken all of it, so that the provider may have."""
    with provider(kind) as (server, fake, mailer):
        server.faults.append(cut_at(10))
        error = mailer.failure()

    assert isinstance(error, Uncertain)
    assert not fake.sink


@OF_ALL
@pytest.mark.parametrize("octets", [0, 1, 12, 30])
def test_an_answer_without_a_whole_head_is_uncertain(kind: str, octets: int) -> None:
    with provider(kind) as (server, fake, mailer):
        server.faults.append(answer_cut_at(octets))
        error = mailer.failure()

    assert isinstance(error, Uncertain)
    assert len(fake.sink) == 1


@WITH_BODY
def test_an_acceptance_that_is_cut_off_before_the_id_is_uncertain(kind: str) -> None:
    with provider(kind) as (server, fake, mailer):
        server.faults.append(answer_cut_at(50))
        error = mailer.failure()

    assert isinstance(error, Uncertain)
    assert len(fake.sink) == 1


@WITH_BODY
def test_an_answer_cut_off_anywhere_before_the_id_leaves_the_mail_uncertain(kind: str) -> None:
    with provider(kind) as (server, fake, mailer):
        mailer.send(PLAIN._replace(id=0))
        whole = len(Fake(kind)(server.requests[0]).octets)
        for octets in range(0, whole, 3):
            server.faults.append(answer_cut_at(octets))
            error = mailer.failure(PLAIN._replace(id=octets + 1))
            assert isinstance(error, Uncertain)

        mailer.send(PLAIN._replace(id=whole + 1))
    assert len(fake.sink) == 2 + len(range(0, whole, 3))


def test_resend_sends_one_copy_however_often_an_answer_is_lost() -> None:
    with provider("resend") as (server, fake, mailer):
        for fault in (reset_after, answer_cut_at(0), answer_cut_at(30), answer_cut_at(50)):
            server.faults.append(fault)
            assert isinstance(mailer.failure(), Uncertain)
        receipt = mailer.send()

    assert len(server.requests) == 5
    assert len(fake.sink) == 1
    assert "id-1" in receipt.text


def test_brevo_sends_one_copy_and_the_second_attempt_stays_uncertain() -> None:
    with provider("brevo") as (server, fake, mailer):
        server.faults.append(reset_after)
        first, second = mailer.failure(), mailer.failure()

    assert isinstance(first, Uncertain)
    assert isinstance(second, Uncertain)
    assert second.receipt.reply_code == 400
    assert len(fake.sink) == 1


@OF_ALL
@pytest.mark.parametrize("body", [b"", b"[]", b"<html>Welcome to our hotel</html>", b"{", b'{"id": 5}', b"null"])
def test_a_success_without_the_id_of_a_mail_is_uncertain(kind: str, body: bytes) -> None:
    status = 202 if kind == "sendgrid" else 200
    with provider(kind) as (server, _, mailer):
        server.faults.append(saying(b"HTTP/1.1 %d OK\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)))
        error = mailer.failure()

    assert isinstance(error, Uncertain)
    assert "without the id" in str(error)


@OF_ALL
@pytest.mark.parametrize("octets", [b"hello\r\n", b"\x00" * 100, b"HTTP/9.9 abc\r\n\r\n", b"220 mail ESMTP\r\n"])
def test_an_answer_that_is_not_http_is_uncertain(kind: str, octets: bytes) -> None:
    with provider(kind, IMPATIENT) as (server, fake, mailer):
        server.faults.append(saying(octets))
        error = mailer.failure()

        assert isinstance(error, Uncertain)
        assert len(fake.sink) == 1


@OF_ALL
@pytest.mark.parametrize("status", [500, 502, 504])
def test_a_server_error_after_the_mail_is_uncertain(kind: str, status: int) -> None:
    with provider(kind) as (server, _, mailer):
        server.faults.append(answering(status, {"message": "oops"}))
        error = mailer.failure()

    assert isinstance(error, Uncertain)
    assert error.receipt.reply_code == status


@OF_ALL
def test_a_provider_that_is_not_available_has_not_taken_the_mail(kind: str) -> None:
    with provider(kind) as (server, _, mailer):
        server.faults.append(answering(503, b"no healthy upstream", Retry_After="7"))
        begun = time.monotonic()
        error = mailer.failure()

        assert isinstance(error, ProviderDown if kind in {"ses", "postmark", "sendgrid"} else Deferred)
        assert error.receipt.reply_code == 503
        assert mailer.channel.limits.pause(begun) >= 7
        assert mailer.channel.limits.pause(time.monotonic()) <= 7


@OF_ALL
def test_too_many_requests_is_throttled_and_retry_after_is_kept(kind: str) -> None:
    with provider(kind) as (server, _, mailer):
        server.faults.append(answering(429, {"message": "Too many requests"}, Retry_After="120"))
        begun = time.monotonic()
        error = mailer.failure()

        assert isinstance(error, Throttled)
        assert mailer.channel.limits.pause(begun) >= 120
        assert mailer.channel.limits.pause(time.monotonic()) <= 120


@OF_ALL
def test_a_redirect_is_not_followed(kind: str) -> None:
    with provider(kind) as (server, fake, mailer):
        server.faults.append(answering(307, b"", Location=server.url))
        error = mailer.failure()

        assert len(server.requests) == 0
    assert isinstance(error, ProviderDown)
    assert not fake.sink


@OF_ALL
def test_an_endless_answer_is_cut_off(kind: str) -> None:
    with provider(kind) as (server, _, mailer):
        body = b"x" * 5_000_000
        server.faults.append(answering(400, body))
        error = mailer.failure()

    assert isinstance(error, Refused)


@OF_ALL
def test_an_answer_that_repeats_the_key_is_stored_without_it(kind: str) -> None:
    with provider(kind) as (server, _, mailer):
        secret = mailer.channel.account.secret
        server.faults.append(answering(400, {"message": f"you sent {secret}", "errors": [{"message": secret}]}))
        error = mailer.failure()  # which looks for it

    assert "***" in str(error)
