"""What a mail server answers (RFC 5321, 4.2), read so that it ends: in time, and at a size.

smtplib by itself reads on for as long as a reply goes on, and every piece of it may take a whole
time-out; it also takes a reply that is none for one, and loses what follows it.
"""

from __future__ import annotations

import re
import select
import smtplib
import socket
import ssl
import time
from functools import lru_cache
from typing import Any, NamedTuple

from actors import hub
from actors.channels import printable

# Linux has it: what has come is acknowledged at once, and not 40 ms later with what is said next.
QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)
REPLY_LIMIT = 16_384  # octets; the longest, to EHLO, has some hundred
_CONTINUED = re.compile(rb"(?:\d{3}-[^\n]*\n)*")
_REPLY = re.compile(rb"[2-5]\d\d(?: .*)?", re.DOTALL)
_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}(?=\s|$)")  # RFC 3463


class Reply(NamedTuple):
    """`text` begins with the code; one line, printable, bounded."""

    code: int
    enhanced_code: str | None
    text: str

    @classmethod
    def of(cls, code: int, words: bytes) -> Reply:
        said = words.decode("utf-8", "replace")
        enhanced = _ENHANCED.match(said)
        return cls(code, enhanced and enhanced[0], printable(f"{code} {said}"))


class Client(smtplib.SMTP):
    """smtplib's client, which is told when to connect and to encrypt, and may say more before it has heard."""

    def __init__(self, patience: float) -> None:
        # A host name of our own, or smtplib asks DNS for one, which can take its time.
        super().__init__(local_hostname="localhost", timeout=patience)
        self.patience = patience  # seconds for each reply, and for each transfer
        self._poll = select.poll()
        self._watch: hub.Watch | None = None
        self._rest = b""
        self._due = 1  # replies to what was said; the first is the greeting

    def reach(self, host: str, port: int) -> None:
        """Connect; what the server then says is for `hear`."""
        self._take(socket.create_connection((host, port), self.patience))

    def encrypt(self, context: ssl.SSLContext, host: str) -> None:
        """TLS from here on. What was learnt in clear is forgotten with the next EHLO (RFC 3207, 4.2)."""
        self._rest = b""
        plain = self._connected
        plain.settimeout(self.patience)
        self._take(context.wrap_socket(plain, server_hostname=host))

    def send(self, s: Any) -> None:
        """One command, and one reply that is due: smtplib's own commands come by here."""
        self.say(s.encode(self.command_encoding), 1)

    def say(self, said: bytes, replies: int, needed: int | None = None) -> None:
        """Send all of it; so many replies are due then.

        Raises OSError where not even the first `needed` octets went out; that the others did not,
        their replies will show.
        """
        sock, gone = self._connected, 0
        deadline = time.monotonic() + self.patience
        if not self._due:  # What the server has said without being asked is nobody's answer.
            self._rest = b""
        self._due += replies
        try:
            while gone < len(said):
                try:
                    gone += sock.send(memoryview(said)[gone:] if gone else said)
                except (BlockingIOError, ssl.SSLWantWriteError):
                    self._wait(select.POLLOUT, deadline)
                except ssl.SSLWantReadError:
                    self._wait(select.POLLIN, deadline)
        except OSError:
            if gone < (len(said) if needed is None else needed):
                raise

    def hear(self) -> Reply:
        """One reply, whole within the time-out of the socket.

        Raises:
            TimeoutError, SMTPException: there was none.
        """
        self._due -= 1
        return _understood(self._answer())

    def getreply(self) -> tuple[int, bytes]:
        """As smtplib wants it."""
        self._due -= 1
        return _parted(self._answer())

    @property
    def _connected(self) -> socket.socket:
        if self.sock is None:
            raise smtplib.SMTPServerDisconnected("not connected")
        return self.sock

    def _take(self, sock: socket.socket) -> None:
        # Every wait is one for this object: a time-out of the socket's own costs system calls with each change.
        sock.setblocking(False)
        # What is said waits for no acknowledgement of what was said before.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._poll.register(sock)
        self.sock = sock

    def _answer(self) -> bytes:
        answer, deadline = self._rest, 0.0
        while (end := _end(answer)) == 0:
            if len(answer) > REPLY_LIMIT:
                raise smtplib.SMTPException(f"a reply without end: {answer[:100].decode('utf-8', 'replace')}")
            deadline = deadline or time.monotonic() + self.patience
            piece = self._receive(deadline)
            if not piece:
                raise smtplib.SMTPServerDisconnected("the mail server closed the connection")
            answer += piece
        self._rest = answer[end:]
        return answer[:end]

    def _receive(self, deadline: float) -> bytes:
        sock = self._connected
        # There is nothing to hear yet, as a rule; but of TLS only one record was read, and more may have come with it.
        event = 0 if isinstance(sock, ssl.SSLSocket) else select.POLLIN
        while True:
            if event:
                self._wait(event, deadline)
            try:
                piece = sock.recv(REPLY_LIMIT)
                if QUICKACK is not None and piece.count(b"\n") <= self._due:
                    # More is due: a server that sends its replies one by one waits with the next for this word.
                    sock.setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)
                return piece
            except (BlockingIOError, ssl.SSLWantReadError):
                event = select.POLLIN
            except ssl.SSLWantWriteError:
                event = select.POLLOUT

    def _wait(self, event: int, deadline: float) -> None:
        """Raises TimeoutError."""
        sock = self._connected
        if here := hub.current():
            self._watch = self._watch or here.watch(sock.fileno())
            ready = here.wait_for(self._watch, event, deadline)
        else:
            self._poll.modify(sock, event)
            ready = bool(self._poll.poll(max(0.0, deadline - time.monotonic()) * 1000))
        if not ready:
            raise TimeoutError

    def close(self) -> None:
        """The connection."""
        if self._watch and (here := hub.current()):
            here.forget(self._watch)
        self._watch = None
        super().close()


@lru_cache(1_000)  # Most of what a server says it says all the time.
def _understood(answer: bytes) -> Reply:
    return Reply.of(*_parted(answer))


def _parted(answer: bytes) -> tuple[int, bytes]:
    *lines, last = answer.splitlines()
    if not _REPLY.fullmatch(last):
        raise smtplib.SMTPException(f"no SMTP reply: {answer[:1_000].decode('utf-8', 'replace')}")
    return int(last[:3]), b"\n".join(line[4:].strip() for line in [*lines, last])


def _end(answer: bytes) -> int:
    """Where the first line ends that announces no other one; 0 while it has not come."""
    continued = _CONTINUED.match(answer) if answer[3:4] == b"-" else None
    return answer.find(b"\n", continued.end() if continued else 0) + 1
