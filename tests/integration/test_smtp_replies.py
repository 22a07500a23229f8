"""Servers with unusual replies: every reply gets an outcome within limits of time and size."""

from __future__ import annotations

import base64
import socket
import threading

import pytest

from actors.channels import Deferred, ProviderDown, Refused, Uncertain, Undelivered
from tests.integration.mailing import IMPATIENT, TALK, channel, failure, notification, saying
from tests.smtp import Reply, SmtpServer

PHASES = ("greeting", "ehlo", "mail", "rcpt", "data", "content")
JUDGED = (ProviderDown, ProviderDown, Deferred, Deferred, Deferred, Uncertain)
LONG = b"250 " + b"x" * 5_000_000 + b"\r\n"
GARBAGE = {
    "no code": b"hello\r\n",
    "an empty line": b"\r\n",
    "four digits": b"2500 ok\r\n",
    "a code of no kind": b"666 beast\r\n",
    "a code below 200": b"150 wait\r\n",
    "digits that int() would take": b"+25 ok\r\n",
    "eight bits": b"\xff\xfe\x80 \xe9\r\n",
    "control characters": b"\x00\x1b[2J\x07\r\n",
    "HTTP": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "a megabyte without a code": b"x" * 1_000_000,
    "lines without a code": b"again\r\n" * 100_000,
}


def said_at(place: int, answer: bytes) -> list[bytes]:
    """The talk of a healthy server, but for one answer."""
    return [answer if number == place else healthy for number, healthy in enumerate(TALK)]


@pytest.mark.parametrize("answer", GARBAGE.values(), ids=GARBAGE)
@pytest.mark.parametrize("place", range(6), ids=PHASES)
def test_a_malformed_reply_is_no_reply(place: int, answer: bytes) -> None:
    with saying(*said_at(place, answer)) as url:
        error = failure(channel(url, **IMPATIENT))
    assert (type(error), error.receipt.phase, error.receipt.reply_code) == (JUDGED[place], PHASES[place], None)


@pytest.mark.parametrize(
    ("place", "answer"), [(2, TALK[4]), (3, TALK[4]), (4, TALK[5])], ids=["354 to MAIL", "354 to RCPT", "250 to DATA"]
)
def test_a_reply_of_an_unexpected_class_ends_the_conversation(place: int, answer: bytes) -> None:
    with saying(*said_at(place, answer)) as url:
        error = failure(channel(url))
    assert (type(error), error.receipt.phase) == (Deferred, PHASES[place])


def test_a_354_after_the_content_leaves_the_outcome_uncertain() -> None:
    with saying(*said_at(5, b"354 go ahead, again\r\n")) as url:
        assert type(failure(channel(url))) is Uncertain


@pytest.mark.parametrize(
    ("answer", "text", "enhanced"),
    [
        (b"550 5.1.1 no such user\r\n", "550 5.1.1 no such user", "5.1.1"),
        (b"550-5.1.1 no\r\n550-5.1.1 such\r\n550 5.1.1 user\r\n", "550 5.1.1 no 5.1.1 such 5.1.1 user", "5.1.1"),
        (b"550-no\n550 such\n", "550 no such", None),
        (b"550\r\n", "550", None),
        (b"550-\r\n550\r\n", "550", None),
        (b"550 5.1.1\r\n", "550 5.1.1", "5.1.1"),
        (b"550 5.1.1234 x\r\n", "550 5.1.1234 x", None),
        (b"550 1.2.3.4 is on a list\r\n", "550 1.2.3.4 is on a list", None),
        (b"550 caf\xc3\xa9 \xff\r\n", "550 café �", None),
        (b"550 a\tb\x00c\x1b[2Jd\x7f\xc2\x85\xe2\x80\xa8e\r\n", "550 a b c [2Jd   e", None),
        (b"550 " + b"y" * 10_000 + b"\r\n", "550 " + "y" * 496, None),
    ],
)
def test_a_reply_is_shown_as_one_short_printable_line(answer: bytes, text: str, enhanced: str | None) -> None:
    with saying(*said_at(3, answer)) as url:
        error = failure(channel(url))
    assert (type(error), str(error), error.receipt.enhanced_code) == (Refused, text, enhanced)


def test_an_endless_reply_is_cut_off() -> None:
    with saying(*said_at(3, LONG)) as url:
        refused = failure(channel(url))
    assert (type(refused), refused.receipt.phase, str(refused)) == (Deferred, "rcpt", "a reply without end")


def test_a_reply_sent_byte_by_byte_has_one_timeout_as_a_whole() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        dripping = threading.Thread(target=drip, args=(listener,))
        dripping.start()
        error = failure(channel(f"smtp://127.0.0.1:{listener.getsockname()[1]}", **IMPATIENT))
        # It has dripped until the client hung up, which comes only once the time is over.
        dripping.join()
    assert (type(error), error.receipt.phase, str(error)) == (ProviderDown, "greeting", "no answer in time")


def drip(listener: socket.socket) -> None:
    """Say something all the time until the client has had enough."""
    client, _ = listener.accept()
    with client:
        client.settimeout(0.1)
        while True:
            try:
                client.sendall(b"2")
                if client.recv(1_000) == b"":
                    return
            except TimeoutError:
                continue
            except ConnectionError:
                return


def test_extra_replies_of_a_server_are_not_taken_for_later_ones() -> None:
    with saying(*said_at(2, b"250 ok\r\n250 ok\r\n250 ok\r\n")) as url:
        email = channel(url)
        assert email.send(notification()).text == "250 2.0.0 ok"
        email.hang_up()


def test_a_server_with_auth_login_only_gets_auth_login() -> None:
    questions = [b"334 " + base64.b64encode(question) + b"\r\n" for question in (b"Username:", b"Password:")]
    talk = [TALK[0], b"250-hello\r\n250 AUTH LOGIN\r\n", *questions, b"235 welcome\r\n", *TALK[2:]]
    with saying(*talk) as url:
        email = channel(url.replace("://", "://shop:secret@") + "?starttls=off")
        assert email.send(notification()).reply_code == 250
        email.hang_up()


def test_a_server_without_a_supported_auth_mechanism_is_down() -> None:
    with saying(TALK[0], b"250-hello\r\n250 AUTH XOAUTH2\r\n") as url:
        error = failure(channel(url.replace("://", "://shop:secret@") + "?starttls=off"))
    assert (type(error), error.receipt.phase) == (ProviderDown, "auth")


@pytest.mark.parametrize(
    "text", [".", "..", ".a", "a\n.\nb", "\n.", "a\n..b\n.\n.\n", "x" * 5_000, "ü" * 5_000, "a\r.\rb", "\n\n\n"]
)
def test_lines_of_dots_and_long_lines_arrive_unchanged(smtp_server: SmtpServer, text: str) -> None:
    email = channel(smtp_server.url)
    email.send(notification(message=text))
    email.hang_up()
    [mail] = smtp_server.mails
    arrived = mail.parsed.get_content().replace("\r\n", "\n")
    assert arrived.removesuffix("\n") == text.replace("\r", "\n").removesuffix("\n")


def test_a_non_ascii_address_is_sent_if_the_server_offers_smtputf8(smtp_server: SmtpServer) -> None:
    email = channel(smtp_server.url)
    email.send(notification(recipient="jösé@münchen.example"))
    email.send(notification(recipient="a@münchen.example"))
    email.hang_up()
    first, second = smtp_server.mails
    assert first.recipients == ("jösé@xn--mnchen-3ya.example",)
    assert set(first.options) == {"SMTPUTF8", "BODY=8BITMIME"}
    assert "\r\nTo: jösé@xn--mnchen-3ya.example\r\n".encode() in first.raw
    assert (second.recipients, second.options) == (("a@xn--mnchen-3ya.example",), ())


def test_a_non_ascii_address_is_refused_if_the_server_lacks_smtputf8() -> None:
    with SmtpServer(extensions=("8BITMIME",)) as server:
        email = channel(server.url)
        with pytest.raises(Refused, match="SMTPUTF8"):
            email.send(notification(recipient="jösé@example.com"))
        email.send(notification())
        email.hang_up()
        assert [mail.recipients for mail in server.mails] == [("a@example.com",)]


def test_a_malformed_recipient_is_refused_without_contacting_the_server(smtp_server: SmtpServer) -> None:
    error = failure(channel(smtp_server.url), recipient="a@example.com\r\nDATA")
    assert (type(error), error.receipt.phase) == (Refused, "compose")
    assert smtp_server.connections == 0


def test_each_kind_of_error_has_its_outcome(smtp_server: SmtpServer) -> None:
    for code, error, outcome in ((450, Deferred, "deferred"), (550, Refused, "refused"), (421, ProviderDown, None)):
        smtp_server.on("rcpt", Reply(code))
        caught: Undelivered = failure(channel(smtp_server.url))
        assert type(caught) is error
        assert caught.outcome == (outcome or "provider-down")
