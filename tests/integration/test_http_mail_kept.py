"""Connections to mail providers that are reused for several mails, and lost in between."""

from __future__ import annotations

import pytest

from actors.channels import ProviderDown, Refused, Uncertain
from actors.channels.email.http.provider import APIS
from tests.eventually import eventually
from tests.integration.http_mailing import provider
from tests.providers.mails import LARGE, LARGE_CONTENTS, PLAIN
from tests.providers.server import Exchange, answer_twice, answering, close_after, reset_after

TOO_LARGE = b"HTTP/1.1 413 Payload Too Large\r\nContent-Length: 0\r\n\r\n"
OF_ALL = pytest.mark.parametrize("kind", sorted(APIS))


def answer_before_the_end(exchange: Exchange) -> None:
    """Read little of the body, and answer that it is too large."""
    exchange.read(1_000)
    exchange.client.sendall(TOO_LARGE)
    exchange.stopping.wait(30)


@OF_ALL
def test_a_second_answer_is_not_taken_as_the_answer_to_the_next_mail(kind: str) -> None:
    with provider(kind) as (server, fake, mailer):
        server.faults.append(answer_twice)
        mailer.send(PLAIN._replace(id=1))
        server.faults.append(answering(401, b"wrong key"))
        try:
            receipt = mailer.send(PLAIN._replace(id=2))
        except (ProviderDown, Uncertain):
            receipt = None

    assert receipt is None
    assert len(fake.sink) == 1


@OF_ALL
def test_a_connection_closed_between_two_mails_is_replaced(kind: str) -> None:
    with provider(kind) as (server, fake, mailer):
        server.faults.append(close_after)
        mailer.send(PLAIN._replace(id=1))
        eventually(lambda: not mailer.connected)
        mailer.send(PLAIN._replace(id=2))

        assert server.connections == 2
    assert len(fake.sink) == 2


@OF_ALL
def test_a_connection_that_is_closed_while_the_mail_is_begun_is_replaced(kind: str) -> None:
    with provider(kind) as (server, fake, mailer):
        mailer.send(PLAIN._replace(id=1))

        def begin() -> bool:
            server.drop_connections()
            return True

        mailer.send(PLAIN._replace(id=2), begin=begin)
    assert len(fake.sink) == 2


@OF_ALL
def test_a_kept_connection_that_breaks_after_the_mail_is_uncertain_and_nothing_is_repeated(kind: str) -> None:
    with provider(kind) as (server, fake, mailer):
        mailer.send(PLAIN._replace(id=1))
        server.faults.append(reset_after)
        error = mailer.failure(PLAIN._replace(id=2))

        assert len(server.requests) == 2
    assert isinstance(error, Uncertain)
    assert len(fake.sink) == 2


@OF_ALL
def test_an_answer_before_the_end_of_a_large_mail_counts_and_ends_the_connection(kind: str) -> None:
    with provider(kind) as (server, fake, mailer):
        server.faults.append(answer_before_the_end)
        error = mailer.failure(LARGE, LARGE_CONTENTS)
        mailer.send()

        assert isinstance(error, Refused)
        assert server.connections == 2
    assert len(fake.sink) == 1
