"""What a mail server answers (RFC 5321, 4.2), read so that it ends: in time, and at a size.

smtplib by itself reads on for as long as a reply goes on, and every piece of it may take a whole
time-out; it also takes a reply that is none for one.
"""

from __future__ import annotations

import re
import smtplib
import socket
import ssl
import time
from typing import NamedTuple

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
    def of(cls, code: int, words: bytes) -> Reply:
        said = words.decode("utf-8", "replace")
        enhanced = _ENHANCED.match(said)
        return cls(code, enhanced and enhanced[0], printable(f"{code} {said}"))


class Client(smtplib.SMTP):
    """smtplib's client, which is told when to connect and to encrypt."""

    def __init__(self, timeout: float) -> None:
        # A host name of our own, or smtplib asks DNS for one, which can take its time.
        super().__init__(local_hostname="localhost", timeout=timeout)

    def reach(self, host: str, port: int) -> None:
        """Connect; what the server then says is for `getreply`."""
        self.sock = socket.create_connection((host, port), self.timeout)

    def encrypt(self, context: ssl.SSLContext, host: str) -> None:
        """TLS from here on. What was learnt in clear is forgotten with the next EHLO (RFC 3207, 4.2)."""
        self.sock = context.wrap_socket(self._connected, server_hostname=host)

    def deliver(self, content: bytes) -> None:
        """Send all of it, within the time-out of the socket; raises OSError: the end did not go out."""
        self._connected.sendall(content)

    def getreply(self) -> tuple[int, bytes]:
        """One reply, whole within the time-out of the socket. What came right behind it is nobody's answer.

        Raises:
            TimeoutError, SMTPException: there was none.
        """
        answer = self._answer()
        *lines, last = answer.splitlines()
        if not _REPLY.fullmatch(last):
            raise smtplib.SMTPException(f"no SMTP reply: {answer[:1_000].decode('utf-8', 'replace')}")
        return int(last[:3]), b"\n".join(line[4:].strip() for line in [*lines, last])

    @property
    def _connected(self) -> socket.socket:
        if self.sock is None:
            raise smtplib.SMTPServerDisconnected("not connected")
        return self.sock

    def _answer(self) -> bytes:
        sock, answer = self._connected, b""
        allowed = sock.gettimeout() or 0
        deadline = time.monotonic() + allowed
        try:
            while (end := _end(answer)) == 0:
                if len(answer) > REPLY_LIMIT:
                    raise smtplib.SMTPException(f"a reply without end: {answer[:100].decode('utf-8', 'replace')}")
                sock.settimeout(max(0.001, deadline - time.monotonic()))
                piece = sock.recv(REPLY_LIMIT)
                if not piece:
                    raise smtplib.SMTPServerDisconnected("the mail server closed the connection")
                answer += piece
        finally:
            sock.settimeout(allowed)
        return answer[:end]


def _end(answer: bytes) -> int:
    """Where the first line ends that announces no other one; 0 while it has not come."""
    continued = _CONTINUED.match(answer)
    return answer.find(b"\n", continued.end() if continued else 0) + 1
