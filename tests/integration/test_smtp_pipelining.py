"""Commands sent ahead of the replies to earlier ones, where the mail server offers PIPELINING (RFC 2920)."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from actors.channels import Deferred, Receipt, Refused, Uncertain
from actors.channels.email import smtp_socket
from db.records import Claimed
from tests.integration.mailing import Mailer, channel, notification
from tests.smtp import Action, Drop, Reply, SmtpServer

HELLO = b"250-hello\r\n250 PIPELINING\r\n"
LINE, DATA, DOT = b"\r\n", b"DATA\r\n", b"\r\n.\r\n"
OK, GO_AHEAD = b"250 ok\r\n", b"354 go ahead\r\n"
FIRST, SECOND, THIRD = (notification(id=n, recipient=f"{n}@example.com") for n in (1, 2, 3))
GREETED = [(b"", b"220 hello\r\n"), (LINE, HELLO)]


@contextmanager
def talking(*steps: tuple[bytes, bytes]) -> Iterator[tuple[str, list[bytes]]]:
    """SMTP_URL of a server that reads up to each ending, and says what belongs to it; and what it has read so."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_talk, args=(listener, steps, heard))
        thread.start()
        yield f"smtp://127.0.0.1:{listener.getsockname()[1]}", heard
        thread.join()


def _talk(listener: socket.socket, steps: Sequence[tuple[bytes, bytes]], heard: list[bytes]) -> None:
    client, _ = listener.accept()
    with client, suppress(ConnectionError):
        for ending, answer in steps:
            request = b""
            while not request.endswith(ending):
                piece = client.recv(65_536)
                if not piece:
                    return
                request += piece
            heard.append(request)
            client.sendall(answer)


def send(email: Mailer, *notifications: Claimed) -> list[Receipt]:
    """Send all of these notifications, each with the one that follows it."""
    next_notification = [*notifications[1:], None]
    return [email.send(one, next_notification=next) for one, next in zip(notifications, next_notification, strict=True)]


def recipients(server: SmtpServer) -> list[str]:
    return [mail.recipients[0] for mail in server.mails]


@pytest.fixture
def email(smtp_server: SmtpServer) -> Iterator[Mailer]:
    channel_ = channel(smtp_server.url)
    yield channel_
    channel_.hang_up()


@pytest.mark.parametrize("answer", [b"\n", b"\r\n", b"25\n", b"hello\r\n"])
@pytest.mark.parametrize(("phase", "before", "behind"), [("rcpt", OK, GO_AHEAD), ("data", OK + OK, b"")])
def test_a_malformed_reply_among_pipelined_ones_is_no_reply(
    phase: str, before: bytes, behind: bytes, answer: bytes
) -> None:
    with talking(*GREETED, (DATA, before + answer + behind)) as (url, _), pytest.raises(Deferred) as error:
        send(channel(url), FIRST)
    assert (error.value.receipt.phase, error.value.receipt.reply_code) == (phase, None)


def test_an_envelope_is_one_packet_and_the_next_one_follows_the_end_of_the_mail() -> None:
    steps = [*GREETED, (DATA, OK + OK + GO_AHEAD), (DATA, OK * 3 + GO_AHEAD), (DOT, b"250 last\r\n"), (LINE, OK)]
    with talking(*steps) as (url, heard):
        email = channel(url)
        assert [receipt.text for receipt in send(email, FIRST, SECOND)] == ["250 ok", "250 last"]
        email.hang_up()
    _, _, envelope, mail, last, quit = heard
    said = b"MAIL FROM:<noreply@example.com>\r\nRCPT TO:<%d@example.com>\r\nDATA\r\n"
    assert envelope == said % 1
    assert mail.endswith(DOT + said % 2)
    assert last.startswith(b"From: ")
    assert quit == b"QUIT\r\n"


def test_a_server_without_pipelining_gets_one_command_at_a_time() -> None:
    greeted = [(b"", b"220 hello\r\n"), (LINE, b"250 hello\r\n")]
    mail = [(LINE, OK), (LINE, OK), (LINE, GO_AHEAD), (DOT, OK)]
    with talking(*greeted, *mail, *mail, (LINE, OK)) as (url, heard):
        email = channel(url)
        send(email, FIRST, SECOND)
        email.hang_up()
    assert [request.count(b"\r\n") for request in heard[2:5]] == [1, 1, 1]
    assert heard[5].endswith(DOT)


def test_pipelining_can_be_switched_off() -> None:
    with talking(*GREETED, (LINE, OK), (LINE, OK), (LINE, GO_AHEAD), (DOT, OK), (LINE, OK)) as (url, heard):
        email = channel(url, smtp_pipelining="off")
        send(email, FIRST)
        email.hang_up()
    assert heard[4] == DATA


@pytest.mark.parametrize("code", [450, 550])
def test_a_pipelined_refused_recipient_costs_an_empty_mail_and_the_next_mail_is_sent(
    email: Mailer, smtp_server: SmtpServer, code: int
) -> None:
    smtp_server.on("rcpt", Reply(code), to="2@example.com", times=None)
    send(email, FIRST, SECOND._replace(recipient="1@example.com"))
    with pytest.raises((Deferred, Refused)):
        email.send(SECOND, next_notification=THIRD)
    send(email, THIRD)
    assert recipients(smtp_server) == ["1@example.com", "1@example.com", "3@example.com"]
    assert smtp_server.connections == (2 if code == 450 else 1)  # It may be the connection that takes no more.


def test_a_server_that_wants_content_for_a_refused_recipient_gets_none() -> None:
    refused = b"250 ok\r\n550 nobody\r\n354 go ahead\r\n"
    steps = [*GREETED, (DATA, refused), (b".\r\n", b"554 nobody\r\n"), (LINE, OK), (DATA, OK + OK + GO_AHEAD)]
    with talking(*steps, (DOT, OK), (LINE, OK)) as (url, heard):
        email = channel(url)
        with pytest.raises(Refused, match="nobody"):
            email.send(FIRST)
        send(email, SECOND)
        email.hang_up()
    assert heard[3:5] == [b".\r\n", b"RSET\r\n"]


def test_a_recipient_accepted_after_a_refusal_gets_no_empty_mail() -> None:
    """The connection is closed instead: MAIL was refused, so nothing that follows it can be meant."""
    with talking(*GREETED, (DATA, b"450 later\r\n" + OK + GO_AHEAD), (LINE, OK)) as (url, heard):
        email = channel(url)
        with pytest.raises(Deferred, match="later"):
            email.send(FIRST)
        email.hang_up()
    assert len(heard) == 3


def test_data_is_sent_only_after_all_recipients_were_accepted(smtp_server: SmtpServer) -> None:
    smtp_server.on("rcpt", Reply(550, "5.1.1 nobody"), to="b@example.com")
    email = channel(smtp_server.url)
    with pytest.raises(Refused):
        send(email, FIRST._replace(mail={"cc": ["b@example.com"]}))
    send(email, SECOND)
    email.hang_up()
    assert recipients(smtp_server) == ["2@example.com"]
    assert smtp_server.connections == 1


@pytest.mark.parametrize("code", [450, 550])
def test_a_refused_content_does_not_affect_the_next_mail(email: Mailer, smtp_server: SmtpServer, code: int) -> None:
    smtp_server.on("dot", Reply(code), to="1@example.com")
    with pytest.raises((Deferred, Refused)):
        email.send(FIRST, next_notification=SECOND)
    send(email, SECOND)
    assert recipients(smtp_server) == ["2@example.com"]
    assert smtp_server.connections == 1


@pytest.mark.parametrize("action", [Drop(), Reply(421, "4.7.0 enough")], ids=["drop", "421"])
def test_a_mail_whose_pipelined_envelope_got_no_reply_goes_over_a_new_connection(
    email: Mailer, smtp_server: SmtpServer, action: Action
) -> None:
    smtp_server.on("mail", Reply(250))
    smtp_server.on("mail", action)
    send(email, FIRST, SECOND)
    assert recipients(smtp_server) == ["1@example.com", "2@example.com"]
    assert smtp_server.connections == 2


def test_a_connection_lost_after_the_dot_leaves_only_that_mail_in_doubt(email: Mailer, smtp_server: SmtpServer) -> None:
    smtp_server.on("dot", Drop())
    with pytest.raises(Uncertain):
        email.send(FIRST, next_notification=SECOND)
    send(email, SECOND)
    assert recipients(smtp_server) == ["2@example.com"]


def test_a_pipelined_envelope_without_its_mail_sends_nothing(email: Mailer, smtp_server: SmtpServer) -> None:
    email.send(FIRST, next_notification=SECOND)
    send(email, THIRD)
    assert recipients(smtp_server) == ["1@example.com", "3@example.com"]
    assert smtp_server.connections == 2


def test_a_pipelined_envelope_of_an_older_claim_is_not_used(email: Mailer, smtp_server: SmtpServer) -> None:
    email.send(FIRST, next_notification=SECOND)
    send(email, SECOND._replace(claim=2))
    assert recipients(smtp_server) == ["1@example.com", "2@example.com"]
    assert smtp_server.connections == 2


def test_hanging_up_with_a_pipelined_envelope_sends_nothing(smtp_server: SmtpServer) -> None:
    email = channel(smtp_server.url)
    email.send(FIRST, next_notification=SECOND)
    email.hang_up()
    assert recipients(smtp_server) == ["1@example.com"]


def test_pipelining_does_not_exceed_the_limit_of_mails_per_connection(smtp_server: SmtpServer) -> None:
    email = channel(smtp_server.url, smtp_connection_messages=2)
    send(email, FIRST, SECOND, THIRD)
    email.hang_up()
    assert [mail.connection for mail in smtp_server.mails] == [1, 1, 2]


def test_a_next_mail_that_cannot_be_composed_fails_at_its_own_turn(email: Mailer, smtp_server: SmtpServer) -> None:
    broken = SECOND._replace(recipient="no address")
    email.send(FIRST, next_notification=broken)
    with pytest.raises(Refused):
        email.send(broken, next_notification=THIRD)
    send(email, THIRD)
    assert recipients(smtp_server) == ["1@example.com", "3@example.com"]
    assert smtp_server.connections == 1


def test_a_worker_that_lost_its_claim_sends_neither_its_mail_nor_an_empty_one(
    email: Mailer, smtp_server: SmtpServer
) -> None:
    with pytest.raises(Deferred, match="another worker"):
        email.send(FIRST, begin=lambda: False, next_notification=SECOND)
    assert smtp_server.mails == []
    send(email, SECOND)
    assert recipients(smtp_server) == ["2@example.com"]


@pytest.mark.skipif(smtp_socket.QUICKACK is None, reason="Linux has it")
def test_a_reply_that_comes_while_more_are_due_is_acknowledged_at_once(
    email: Mailer, smtp_server: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that sends each reply by itself (RFC 896) would else wait 40 ms with the next, for every mail."""
    said, say = list[tuple[object, ...]](), socket.socket.setsockopt

    def noted(self: socket.socket, *option: Any) -> None:
        said.append(option)
        say(self, *option)

    monkeypatch.setattr(socket.socket, "setsockopt", noted)
    send(email, FIRST, SECOND)
    assert (socket.IPPROTO_TCP, smtp_socket.QUICKACK, 1) in said
