"""One connection for many mails: its reuse, and the cost when it ends."""

from __future__ import annotations

import select
from collections.abc import Iterator
from unittest import mock

import pytest

from actors.channels import Deferred, ProviderDown, Refused, Undelivered
from actors.channels.email.smtp import CONNECTION_AGE
from tests.eventually import eventually
from tests.integration.mailing import IMPATIENT, TALK, Mailer, channel, notification, saying
from tests.smtp import Action, Drop, Hang, Phase, Reply, SmtpServer


@pytest.fixture
def email(smtp_server: SmtpServer) -> Iterator[Mailer]:
    channel_ = channel(smtp_server.url)
    yield channel_
    channel_.hang_up()


def send(email: Mailer, count: int = 1) -> None:
    for _ in range(count):
        email.send(notification())


def connections(server: SmtpServer) -> list[int]:
    """Over which connection each mail came."""
    return [mail.connection for mail in server.mails]


def test_a_connection_is_kept_from_mail_to_mail(email: Mailer, smtp_server: SmtpServer) -> None:
    send(email, 5)
    assert connections(smtp_server) == [1] * 5


def test_a_connection_is_replaced_after_the_limit_of_mails(smtp_server: SmtpServer) -> None:
    email = channel(smtp_server.url, smtp_connection_messages=3)
    send(email, 7)
    email.hang_up()
    assert connections(smtp_server) == [1, 1, 1, 2, 2, 2, 3]


def test_an_old_connection_is_replaced(smtp_server: SmtpServer) -> None:
    email = channel(smtp_server.url)
    with mock.patch("actors.channels.email.smtp.time.monotonic", return_value=1_000.0) as clock:
        send(email, 2)
        clock.return_value += CONNECTION_AGE - 1
        send(email)
        clock.return_value += 2
        send(email)
        email.hang_up()
    assert connections(smtp_server) == [1, 1, 1, 2]


def test_an_idle_connection_closed_by_the_server_costs_no_attempt(smtp_server: SmtpServer) -> None:
    email = channel(smtp_server.url)
    send(email)
    smtp_server.stop()
    smtp_server.start()
    send(email)
    email.hang_up()
    assert connections(smtp_server) == [1, 2]


def test_a_421_to_an_idle_connection_costs_no_attempt(smtp_server: SmtpServer) -> None:
    email = channel(smtp_server.url)
    send(email)
    [wire] = smtp_server._wires
    smtp_server._loop.call_soon_threadsafe(wire.write, b"421 4.4.2 idle for too long\r\n")
    smtp_server._loop.call_soon_threadsafe(wire.close)
    connection = email.connection
    assert connection
    kept = connection._smtp.sock
    assert kept
    eventually(lambda: select.select([kept], [], [], 0)[0])
    send(email)
    email.hang_up()
    assert connections(smtp_server) == [1, 2]


def test_a_421_right_after_the_last_reply_costs_no_attempt() -> None:
    with saying(*TALK[:5], TALK[5] + b"421 4.4.2 that was all\r\n") as url:
        email = channel(url)
        send(email, 3)
        email.hang_up()


@pytest.mark.parametrize(
    "action", [Reply(421, "4.7.0 enough for today"), Drop(), Hang()], ids=["421", "drop", "silence"]
)
def test_a_kept_connection_closed_at_mail_is_replaced_at_once(smtp_server: SmtpServer, action: Action) -> None:
    email = channel(smtp_server.url, **IMPATIENT)
    send(email)
    smtp_server.on("mail", action)
    send(email)
    email.hang_up()
    assert connections(smtp_server) == [1, 2]


def test_a_new_connection_closed_at_mail_costs_an_attempt(email: Mailer, smtp_server: SmtpServer) -> None:
    send(email)
    smtp_server.on("mail", Drop(), times=2)
    with pytest.raises(Deferred):
        send(email)
    assert smtp_server.connections == 2
    send(email)
    assert connections(smtp_server) == [1, 3]


def test_a_closed_connection_that_cannot_be_replaced_means_that_the_provider_is_down(
    email: Mailer, smtp_server: SmtpServer
) -> None:
    send(email)
    smtp_server.stop()
    with pytest.raises(ProviderDown):
        send(email)


@pytest.mark.parametrize("phase", ["rcpt", "data", "dot"])
def test_a_kept_connection_closed_after_mail_costs_an_attempt(
    email: Mailer, smtp_server: SmtpServer, phase: Phase
) -> None:
    send(email)
    smtp_server.on(phase, Drop())
    with pytest.raises(Undelivered):
        send(email)
    send(email)
    assert connections(smtp_server) == [1, 2]


@pytest.mark.parametrize("phase", ["mail", "rcpt", "data", "dot"])
@pytest.mark.parametrize(("code", "error"), [(450, Deferred), (550, Refused)])
def test_after_a_refusal_the_connection_is_reset_and_kept(
    email: Mailer, smtp_server: SmtpServer, phase: Phase, code: int, error: type[Undelivered]
) -> None:
    if (phase, code) == ("mail", 550):  # Our own sender is refused, which is about no notification.
        error = ProviderDown
    smtp_server.on(phase, Reply(code))
    with pytest.raises(error):
        send(email)
    send(email)
    assert connections(smtp_server) == [1]
    [mail] = smtp_server.mails
    assert mail.recipients == ("a@example.com",)


@pytest.mark.parametrize("phase", ["mail", "rcpt", "data", "dot"])
def test_a_refusal_that_may_concern_a_reused_connection_is_tried_again_over_a_new_one(
    email: Mailer, smtp_server: SmtpServer, phase: Phase
) -> None:
    send(email)
    smtp_server.on(phase, Reply(450))
    send(email)
    assert connections(smtp_server) == [1, 2]


@pytest.mark.parametrize("phase", ["mail", "rcpt", "data", "dot"])
def test_a_refusal_repeated_on_a_new_connection_costs_an_attempt_and_keeps_the_connection(
    email: Mailer, smtp_server: SmtpServer, phase: Phase
) -> None:
    send(email)
    smtp_server.on(phase, Reply(450), times=2)
    with pytest.raises(Deferred):
        send(email)
    send(email)
    assert connections(smtp_server) == [1, 2]


def test_a_refusal_of_the_recipient_is_not_tried_again_over_a_new_connection(
    email: Mailer, smtp_server: SmtpServer
) -> None:
    send(email)
    smtp_server.on("rcpt", Reply(550, "5.1.1 nobody"))
    with pytest.raises(Refused):
        send(email)
    send(email)
    assert connections(smtp_server) == [1, 1]


def test_a_connection_closed_after_a_refused_mail_is_replaced_unnoticed(email: Mailer, smtp_server: SmtpServer) -> None:
    smtp_server.on("mail", Reply(450))
    with pytest.raises(Deferred):
        send(email)
    smtp_server.stop()
    smtp_server.start()
    send(email)
    assert connections(smtp_server) == [2]


def test_a_connection_that_cannot_be_reset_is_not_kept() -> None:
    with saying(*TALK[:3], b"450 later\r\n", b"500 what?\r\n") as url:
        email = channel(url)
        for _ in range(2):
            with pytest.raises(Deferred):
                send(email)
        email.hang_up()


def test_after_a_421_the_connection_is_not_kept(email: Mailer, smtp_server: SmtpServer) -> None:
    phases: list[Phase] = ["rcpt", "data", "dot"]
    for phase in phases:
        smtp_server.on(phase, Reply(421, "4.3.2 closing"))
        with pytest.raises(ProviderDown):
            send(email)
    send(email)
    assert connections(smtp_server) == [4]


def test_closing_a_connection_is_quick_and_can_be_repeated(smtp_server: SmtpServer) -> None:
    email = channel(smtp_server.url)
    email.hang_up()
    send(email)
    email.hang_up()
    email.hang_up()
    send(email)
    email.hang_up()
    assert connections(smtp_server) == [1, 2]
