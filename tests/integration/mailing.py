"""Fixtures for tests of the mail channel: a channel, a notification, a send that fails, a server of fixed answers."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import pytest

from actors.channels import Begin, Receipt, Undelivered, always
from actors.channels.email.smtp import Connection
from actors.channels.email.smtp_provider import SmtpProvider
from actors.channels.email.smtp_sender import SmtpSender
from db.records import Claimed
from settings import Settings
from tests import loops
from tests.environment import configured

# Only for what hangs: all else ends by itself, on a busy machine too.
IMPATIENT = {"smtp_connect_timeout": 0.3, "smtp_timeout": 0.3, "smtp_data_timeout": 0.3}
PLAIN = Claimed(5, 1, "email", "a@example.com", "Hi", "Hello", None, "resend", 0, datetime(2024, 1, 1, tzinfo=UTC))


class Mailer:
    """A sender of the mail channel, for tests that are no coroutines. Use it from one thread."""

    def __init__(self, settings: Settings) -> None:
        self.channel = SmtpProvider(settings, settings.providers[0])
        self._sender = self.channel.sender()

    @property
    def connection(self) -> Connection | None:
        """Return the connection that it keeps."""
        assert isinstance(self._sender, SmtpSender)
        return self._sender._connection

    def send(
        self,
        notification: Claimed,
        begin: Callable[[], bool] | None = None,
        contents: Sequence[bytes] = (),
        next_notification: Claimed | None = None,
    ) -> Receipt:
        """Send a notification."""
        return loops.run(self._sender.send(notification, _begin(begin), contents, next_notification))

    def hang_up(self) -> None:
        """Close the connection."""
        loops.run(self._sender.hang_up())

    def stop(self) -> None:
        """The process stops."""
        self.channel.stop()


def _begin(begin: Callable[[], bool] | None) -> Begin:
    async def begun() -> bool:
        return begin is None or begin()

    return begun if begin else always


def channel(url: str, **settings: object) -> Mailer:
    """A sender of mails to this server."""
    with configured(smtp_url=url, **{"mail_from": "noreply@example.com", **settings}) as current:
        return Mailer(current)


def notification(**values: Any) -> Claimed:
    return PLAIN._replace(**values)


def failure(email: Mailer, **values: Any) -> Undelivered:
    """Send a mail that must fail; return the error, whose text has been checked."""
    with pytest.raises(Undelivered) as caught:
        email.send(notification(**values))
    email.hang_up()
    text = caught.value.receipt.text
    assert text
    assert text == str(caught.value)
    assert text.isprintable()
    assert len(text) <= 500
    return caught.value


# What a server says: its greeting, then its answers to EHLO, MAIL, RCPT, DATA and the dot.
GO_AHEAD = b"354 go ahead\r\n"
TALK = (b"220 hello\r\n", b"250 hello\r\n", b"250 ok\r\n", b"250 ok\r\n", GO_AHEAD, b"250 2.0.0 ok\r\n")


@contextmanager
def saying(*answers: bytes) -> Iterator[str]:
    """SMTP_URL of a server that says the first answer, after each request the next one, and then closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        talking = threading.Thread(target=_talk, args=(listener, answers), name="saying")
        talking.start()
        yield f"smtp://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        talking.join()


def _talk(listener: socket.socket, answers: Sequence[bytes]) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        # The client may leave at any time.
        with client, suppress(ConnectionError):
            _converse(client, answers)


def _converse(client: socket.socket, answers: Sequence[bytes]) -> None:
    ending = b""
    for answer in answers:
        _read(client, ending)
        client.sendall(answer)
        ending = b"\r\n.\r\n" if answer == GO_AHEAD else b"\r\n"


def _read(client: socket.socket, ending: bytes) -> None:
    request = b""
    while not request.endswith(ending):
        piece = client.recv(65_536)
        if not piece:
            raise ConnectionResetError
        request += piece
