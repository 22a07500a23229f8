"""What a mail server answers (RFC 5321, 4.2), read so that it ends: in time, and at a size.

smtplib by itself reads on for as long as a reply goes on, and every piece of it may take a whole
time-out; it also takes a reply that is none for one, and loses what follows it.
"""

from __future__ import annotations

import contextlib
import re
import smtplib
import socket
import ssl
import time
from functools import lru_cache
from typing import Any, NamedTuple

from actors.channels import printable

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
    @lru_cache(1_000)
    def of(cls, code: int, words: bytes) -> Reply:
        said = words.decode("utf-8", "replace")
        enhanced = _ENHANCED.match(said)
        return cls(code, enhanced and enhanced[0], printable(f"{code} {said}"))


class Client(smtplib.SMTP):
    """smtplib's client, which is told when to connect and to encrypt, and may say more before it has heard."""

    def __init__(self, timeout: float) -> None:
        # A host name of our own, or smtplib asks DNS for one, which can take its time.
        super().__init__(local_hostname="localhost", timeout=timeout)
        self._rest = b""
        self._due = 1  # replies to what was said; the first is the greeting

    def reach(self, host: str, port: int) -> None:
        """Connect; what the server then says is for `hear`."""
        self.sock = socket.create_connection((host, port), self.timeout)
        # What is said waits for no acknowledgement of what was said before.
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def encrypt(self, context: ssl.SSLContext, host: str) -> None:
        """TLS from here on. What was learnt in clear is forgotten with the next EHLO (RFC 3207, 4.2)."""
        self._rest = b""
        self.sock = context.wrap_socket(self._connected, server_hostname=host)

    def send(self, s: Any) -> None:
        """One command, and one reply that is due: smtplib's own commands come by here."""
        self.say(s.encode(self.command_encoding), 1)

    def say(self, said: bytes, replies: int, needed: int | None = None) -> None:
        """Send all of it, within the time-out of the socket; so many replies are due then.

        Raises OSError where not even the first `needed` octets went out; that the others did not,
        their replies will show.
        """
        sock, needed = self._connected, len(said) if needed is None else needed
        if not self._due:  # What the server has said without being asked is nobody's answer.
            self._rest = b""
        self._due += replies
        gone = sock.send(said)
        if gone < needed:
            sock.sendall(memoryview(said)[gone:needed])
        if (gone := max(gone, needed)) < len(said):
            with contextlib.suppress(OSError):
                sock.sendall(memoryview(said)[gone:])

    def hear(self) -> Reply:
        """One reply, whole within the time-out of the socket.

        Raises:
            TimeoutError, SMTPException: there was none.
        """
        return Reply.of(*self.getreply())

    def getreply(self) -> tuple[int, bytes]:
        """As smtplib wants it."""
        self._due -= 1
        return _read(self._answer())

    @property
    def _connected(self) -> socket.socket:
        if self.sock is None:
            raise smtplib.SMTPServerDisconnected("not connected")
        return self.sock

    def _answer(self) -> bytes:
        sock, answer = self._connected, self._rest
        allowed = sock.gettimeout() or 0
        deadline = time.monotonic() + allowed
        try:
            while (end := _end(answer)) == 0:
                if len(answer) > REPLY_LIMIT:
                    raise smtplib.SMTPException(f"a reply without end: {answer[:100].decode('utf-8', 'replace')}")
                if answer:
                    sock.settimeout(max(0.001, deadline - time.monotonic()))
                piece = sock.recv(REPLY_LIMIT)
                if not piece:
                    raise smtplib.SMTPServerDisconnected("the mail server closed the connection")
                answer += piece
        finally:
            sock.settimeout(allowed)
        self._rest = answer[end:]
        return answer[:end]


@lru_cache(1_000)  # Most of what a server says it says all the time.
def _read(answer: bytes) -> tuple[int, bytes]:
    *lines, last = answer.splitlines()
    if not _REPLY.fullmatch(last):
        raise smtplib.SMTPException(f"no SMTP reply: {answer[:1_000].decode('utf-8', 'replace')}")
    return int(last[:3]), b"\n".join(line[4:].strip() for line in [*lines, last])


def _end(answer: bytes) -> int:
    """Where the first line ends that announces no other one; 0 while it has not come."""
    continued = _CONTINUED.match(answer) if answer[3:4] == b"-" else None
    return answer.find(b"\n", continued.end() if continued else 0) + 1
