"""A received reply is never treated as unknown: the three digits decide, whatever follows (RFC 5321, 4.2)."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import pytest

from actors.channels import Deferred, ProviderDown, Refused, Uncertain, Undelivered
from tests.conftest import TlsAuthority
from tests.integration.mailing import GO_AHEAD, TALK, channel, failure, notification, saying

YES = {
    "as it should be": b"250 2.0.0 queued\r\n",
    "no space": b"250Ok\r\n",
    "no space before an enhanced code": b"2502.0.0 Ok\r\n",
    "nothing": b"250\r\n",
    "a tab": b"250\tOk\r\n",
    "a colon": b"250: queued\r\n",
    "a bare LF": b"250 ok\n",
    "another 2xx": b"252 taken\r\n",
    "200": b"200 OK\r\n",
    "a code that nobody knows": b"299 whatever\r\n",
    "not ASCII": b"250 f\xfcr Sie \xe2\x9c\x93\r\n",
    "an empty line before": b"\r\n250 ok\r\n",
    "empty lines before": b"\r\n\n\r\n250 ok\r\n",
    "a line of a log before": b"warning: disk almost full\r\n250 ok\r\n",
    "a preliminary reply before": b"150 scanning\r\n250 ok\r\n",
    "two preliminary replies": b"150 scanning\r\n111 still\r\n250 ok\r\n",
    "several lines": b"250-2.0.0 ok\r\n250-queued\r\n250 as 12345\r\n",
    "several lines, no space": b"250-ok\r\n250Ok\r\n",
    "an empty line between": b"250-ok\r\n\r\n250 queued\r\n",
    "a line without a code between": b"250-ok\r\n  queued as 12\r\n250 bye\r\n",
    "another code in the last line": b"550-no, wait\r\n250 ok\r\n",
    "a long line": b"250 " + b"x" * 100_000 + b"\r\n",
    "a very long line": b"250 " + b"x" * 2_000_000 + b"\r\n",
    "many lines": b"250-again\r\n" * 10_000 + b"250 ok\r\n",
    "control characters": b"250 \x00\x1b[2J\r\n",
}
CUT_OFF = {  # and then the connection ends
    "no line end": b"250 ok",
    "only a code": b"250",
    "a last line that never comes": b"250-ok\r\n",
    "an announced line": b"250-ok\r\n25",
    "lines without end": b"250-again\r\n" * 100_000,
}


def answered(answer: bytes) -> list[bytes]:
    """The talk of a server with this answer to the content."""
    return [*TALK[:5], answer]


@pytest.mark.parametrize("answer", [*YES.values(), *CUT_OFF.values()], ids=[*YES, *CUT_OFF])
def test_any_form_of_acceptance_after_the_dot_means_sent(answer: bytes) -> None:
    with saying(*answered(answer)) as url:
        email = channel(url)
        receipt = email.send(notification())
        email.hang_up()
    assert receipt.phase == "content"
    assert str(receipt.reply_code).startswith("2")


@pytest.mark.parametrize("answer", [*YES.values(), *CUT_OFF.values()], ids=[*YES, *CUT_OFF])
@pytest.mark.parametrize(("code", "error"), [(b"5", Refused), (b"4", Deferred)])
@pytest.mark.parametrize("place", [3, 5], ids=["rcpt", "content"])
def test_a_refusal_counts_whatever_follows(answer: bytes, code: bytes, error: type[Undelivered], place: int) -> None:
    said = answer.replace(b"250", code + b"50").replace(b"252", code + b"53")
    said = said.replace(b"200 ", code + b"00 ").replace(b"299", code + b"99")
    if answer == YES["another code in the last line"]:
        said = b"250-ok\r\n" + code + b"50 no, wait\r\n"
    with saying(*[said if number == place else healthy for number, healthy in enumerate(TALK)]) as url:
        refused = failure(channel(url, smtp_timeout=1 if answer in CUT_OFF.values() else 30))
    assert type(refused) is error
    assert str(refused.receipt.reply_code).startswith(code.decode())


@pytest.mark.parametrize(
    "answer", [YES[name] for name in ("no space", "a tab", "nothing", "a bare LF", "several lines")]
)
@pytest.mark.parametrize("place", range(5))
def test_every_reply_of_the_conversation_is_parsed_alike(place: int, answer: bytes) -> None:
    code = TALK[place][:3]
    with saying(*[answer.replace(b"250", code) if n == place else healthy for n, healthy in enumerate(TALK)]) as url:
        email = channel(url)
        assert email.send(notification()).reply_code == 250
        email.hang_up()


def test_the_text_after_a_code_without_a_space_is_reported() -> None:
    with saying(*answered(b"550Mailbox is away\r\n")) as url:
        assert str(failure(channel(url))) == "550 Mailbox is away"


def test_a_code_that_comes_long_after_other_lines_is_waited_for() -> None:
    with talking(b"\r\n", b"scanning...\r\n", 0.3, b"150 still scanning\r\n", 0.3, b"250 ok\r\n") as url:
        email = channel(url)
        assert email.send(notification()).reply_code == 250
        email.hang_up()


@pytest.mark.parametrize(
    "answer", [b"hello\r\n", b"\r\n", b"666 beast\r\n", b"150 wait\r\n", b"2500 ok\r\n", b"25\r\n"]
)
def test_an_answer_without_a_valid_final_code_is_uncertain(answer: bytes) -> None:
    with saying(*answered(answer)) as url:
        assert type(failure(channel(url))) is Uncertain


@pytest.mark.parametrize(
    "early", [b"554 5.7.1 not from you\r\n", b"452 4.3.1 disk full\r\n", b"421 4.3.2 going down\r\n"]
)
@pytest.mark.parametrize("size", [10, 20_000_000], ids=["a small mail", "a large mail"])
@pytest.mark.parametrize("together", [True, False], ids=["with the 354", "behind the 354"])
def test_a_refusal_before_the_content_is_the_answer(early: bytes, size: int, together: bool) -> None:
    expected = {b"554": Refused, b"452": Deferred, b"421": ProviderDown}[early[:3]]
    with hanging_up(GO_AHEAD + early if together else GO_AHEAD, b"" if together else early) as url:
        refused = failure(channel(url), message="a line of text\n" * (size // 15))
    assert (type(refused), refused.receipt.phase, refused.receipt.reply_code) == (expected, "content", int(early[:3]))


def test_a_refusal_that_follows_the_354_is_read_at_once() -> None:
    with saying(*TALK[:4], GO_AHEAD + b"554 5.7.1 no\r\n", b"") as url:
        refused = failure(channel(url))
    assert (type(refused), refused.receipt.reply_code) == (Refused, 554)


def test_sending_of_a_large_mail_stops_at_a_refusal() -> None:
    """The server refuses in the middle, stays connected and reads no more."""
    refused = threading.Event()
    with talking(refusing=refused) as url:
        try:
            error = failure(channel(url, smtp_timeout=60), message="a line of text\n" * 1_000_000)
        finally:
            refused.set()
    assert (type(error), error.receipt.reply_code) == (Refused, 552)


def test_the_next_mail_after_an_early_refusal_is_sent_over_a_new_connection() -> None:
    with hanging_up(GO_AHEAD + b"554 5.7.1 no\r\n") as url:
        email = channel(url)
        for _ in range(2):
            with pytest.raises(Refused):
                email.send(notification(), next_notification=notification(id=6))
        email.hang_up()


@pytest.mark.parametrize("code", [421, 550, 451])
@pytest.mark.parametrize("place", range(4), ids=["greeting", "ehlo", "mail", "rcpt"])
def test_a_reply_before_a_hangup_is_the_answer(place: int, code: int) -> None:
    said = b"%d 4.7.0 go away\r\n" % code
    with saying(*TALK[:place], TALK[place] + said) as url:
        refused = failure(channel(url))
    assert refused.receipt.reply_code == code
    assert "go away" in refused.receipt.text
    assert refused.receipt.phase == ["ehlo", "mail", "rcpt", "data"][place]


def test_a_reply_before_a_tls_hangup_is_the_answer(tls_authority: TlsAuthority) -> None:
    with hanging_up(GO_AHEAD, b"554 5.7.1 no\r\n", tls=tls_authority.context) as url:
        options = f"?ca={tls_authority.ca}"
        refused = failure(channel(url.replace("smtp:", "smtps:") + options), message="a line of text\n" * 500_000)
    assert (type(refused), refused.receipt.reply_code) == (Refused, 554)


@contextmanager
def hanging_up(invitation: bytes, early: bytes = b"", tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """SMTP_URL of a server that says this to DATA, reads a little, and closes with the rest unread."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_hang_up, args=(listener, invitation, early, tls))
        thread.start()
        yield f"smtp://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def _hang_up(listener: socket.socket, invitation: bytes, early: bytes, tls: ssl.SSLContext | None) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        with suppress(OSError), tls.wrap_socket(client, server_side=True) if tls else client as talk:
            for answer in (*TALK[:4], invitation):
                talk.sendall(answer)
                if answer is not invitation:
                    talk.recv(1_000)
            if early:
                talk.recv(10)
                talk.sendall(early)


@contextmanager
def talking(*dot: bytes | float, refusing: threading.Event | None = None) -> Iterator[str]:
    """SMTP_URL of a server that says these after the dot, with pauses.

    With `refusing` it says 552 in the middle of the content, and reads no more until that is set.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_talk, args=(listener, dot, refusing))
        thread.start()
        yield f"smtp://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


def _talk(listener: socket.socket, dot: Sequence[bytes | float], refusing: threading.Event | None) -> None:
    client, _ = listener.accept()
    with client, suppress(OSError):
        for answer in TALK[:5]:
            client.sendall(answer)
            if answer != GO_AHEAD:
                client.recv(1_000)
        heard = client.recv(65_536)
        if refusing:
            client.sendall(b"552 5.3.4 too big\r\n")
            refusing.wait(60)
            return
        while not heard.endswith(b"\r\n.\r\n"):
            heard += client.recv(65_536)
        for said in dot:
            if isinstance(said, bytes):
                client.sendall(said)
            else:
                time.sleep(said)
        client.recv(1_000)


@pytest.mark.parametrize("ahead", [b"354 go ahead, again\r\n", b"354 once\r\n354 more\r\n", b"354-a\r\n354 b\r\n"])
def test_a_second_354_is_not_the_answer_to_the_mail(ahead: bytes) -> None:
    with saying(*TALK[:5], ahead + TALK[5]) as url:
        email = channel(url)
        assert email.send(notification()).text == "250 2.0.0 ok"
        email.hang_up()


def test_a_refusal_after_a_second_354_is_read() -> None:
    with saying(*TALK[:5], b"354 go ahead, again\r\n554 5.7.1 no\r\n") as url:
        assert type(failure(channel(url))) is Refused
