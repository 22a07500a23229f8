"""The socket of an SMTP conversation: what is sent, what is heard, and how long either may take.

smtplib by itself reads on for as long as a reply goes on, and every piece of it may take a whole
time-out; it also takes a reply that is none for one, and loses what follows it.
"""

from __future__ import annotations

import fcntl
import select
import smtplib
import socket
import ssl
import sys
import termios
import time
from math import inf
from typing import Any

from actors import hub
from actors.channels import answers
from actors.channels.answers import Reply

# Linux has it: what has come is acknowledged at once, and not 40 ms later with what is said next.
QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)
REPLY_LIMIT = 16_384  # octets; the longest, to EHLO, has some hundred
FLOOD = 4_000_000  # octets; who says more in one reply never comes to an end
STRAY = 5.0  # seconds; a line without a code is followed by the reply soon, or was all that comes
LOOK = 1.0  # seconds; how often a wait looks whether this process stops


class Stop:
    """When a process that stops gives up what is not out, and the answers to what is (`time.monotonic()`)."""

    sending = answers = inf


class Client(smtplib.SMTP):
    """smtplib's client, which is told when to connect and to encrypt, and may say more before it has heard.

    `patience`: seconds for each reply, and for each piece of a transfer that gets through. `limit`: when all
    of it must be over (`time.monotonic()`).
    """

    def __init__(self, patience: float, stop: Stop | None = None) -> None:
        # A host name of our own, or smtplib asks DNS for one, which can take its time.
        super().__init__(local_hostname="localhost", timeout=patience)
        self.patience, self.limit = patience, inf
        self._stop = stop or Stop()
        self._poll = select.poll()
        self._watch: hub.Watch | None = None
        self._rest = b""
        self._unasked = b""  # what the server had said before the last request, and was no answer to one
        self._due = 1  # replies to what was said; the first is the greeting
        self._final = False  # whether a mail is out, and only its answer can tell what became of it
        self._left = inf  # octets of it that the other side had not acknowledged when the answer was late

    def reach(self, host: str, port: int) -> None:
        """Connect; what the server then says is for `hear`."""
        self._take(socket.create_connection((host, port), self.patience))

    def encrypt(self, context: ssl.SSLContext, host: str) -> None:
        """TLS from here on. What was learnt in clear is forgotten with the next EHLO (RFC 3207, 4.2)."""
        self._rest = self._unasked = b""
        plain = self._connected
        sock = context.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
        self._take(sock)
        deadline = time.monotonic() + self.patience
        while True:
            try:
                return sock.do_handshake()
            except ssl.SSLWantReadError:
                self._wait(select.POLLIN, deadline)
            except ssl.SSLWantWriteError:
                self._wait(select.POLLOUT, deadline)

    def send(self, s: Any) -> None:
        """One command, and one reply that is due: smtplib's own commands come by here."""
        self.say(s.encode(self.command_encoding), 1)

    def say(self, said: bytes, replies: int) -> None:
        """Send all of it; so many replies are due then. Not sent is what the server has hung up on with a 421.

        Raises:
            OSError: it did not go out, and the server has not said why.
        """
        self._say(said, replies, len(said), only=421)

    def say_content(self, said: bytes, replies: int, needed: int) -> bool:
        """Send a mail, and what goes along behind its first `needed` octets.

        Return False where the server has refused it, of which `hear` tells, before those were out.

        Raises:
            OSError: they did not go out, and the server has not said why. That the others did not, their
                replies will show.
        """
        self._left = inf
        return self._say(said, replies, needed)

    def hear(self, final: bool = False) -> Reply:
        """Return one reply, whole within the time-out. `final`: nothing but it can tell what became of a mail.

        Raises:
            TimeoutError, SMTPException: there was none.
        """
        self._due -= 1
        return answers.understood(self._answer(final))

    def getreply(self) -> tuple[int, bytes]:
        """As smtplib wants it."""
        self._due -= 1
        return answers.parted(self._answer())

    def close(self) -> None:
        """The connection."""
        if self._watch and (here := hub.current()):
            here.forget(self._watch)
        self._watch = None
        super().close()

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

    def _say(self, said: bytes, replies: int, needed: int, only: int | None = None) -> bool:
        """`only`: the code of the refusal that keeps it from being sent; None: any does."""
        due, self._due, self._final = self._due, self._due + replies, False
        if not due and self._rest:  # What the server has said without being asked is nobody's answer.
            self._unasked, self._rest = self._rest, answers.refusal(self._rest, only)
            if self._rest:
                return False
        sock, gone, deadline = self._connected, 0, time.monotonic() + self.patience
        try:
            while gone < len(said):
                try:
                    gone += sock.send(memoryview(said)[gone:] if gone else said)
                    if gone < len(said):  # Each piece that gets through renews the time-out (RFC 5321, 4.5.3.2.5).
                        deadline = time.monotonic() + self.patience
                except (BlockingIOError, ssl.SSLWantWriteError):
                    self._wait(select.POLLOUT | select.POLLIN, deadline)
                    if self._overheard(only):
                        return False
                except ssl.SSLWantReadError:
                    self._wait(select.POLLIN, deadline)
        except OSError:
            if gone < needed and not self._last_words():
                raise
        return gone >= needed

    def _overheard(self, only: int | None) -> bool:
        """Return whether the server refuses what is still being sent; anything else that it says now is no answer."""
        try:
            piece = self._connected.recv(REPLY_LIMIT)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        if not piece:
            raise smtplib.SMTPServerDisconnected("the mail server closed the connection")
        self._unasked = (self._unasked + piece)[-REPLY_LIMIT:]
        self._rest = answers.refusal(self._unasked, only)
        return bool(self._rest)

    def _last_words(self) -> bool:
        """Return whether the server had refused before the connection broke: it may be in the receive buffer yet."""
        heard = self._unasked
        try:
            while len(heard) < FLOOD and (piece := self._connected.recv(REPLY_LIMIT)):
                heard += piece
        except OSError:
            pass
        self._rest = answers.refusal(heard)
        return bool(self._rest)

    def _answer(self, final: bool = False) -> bytes:
        heard, deadline, octets = self._rest, 0.0, 0
        self._final = final
        end = answers.end(heard) if heard else 0
        while not end:
            deadline = deadline or time.monotonic() + self.patience
            try:
                piece = self._receive(deadline)
                heard, octets = heard + piece, octets + len(piece)
                if len(heard) > REPLY_LIMIT:
                    heard = answers.shortened(heard)
                if octets > FLOOD:
                    raise smtplib.SMTPException("a reply without end")
            except OSError as error:
                if isinstance(error, TimeoutError) and final and self._still_leaves():
                    deadline = 0.0
                    continue
                return self._told(heard, error)
            end = answers.end(heard)
            if not (end or final or answers.has_code(heard)) and b"\n" in heard:
                deadline = min(deadline, time.monotonic() + STRAY)
        self._rest = heard[end:]
        return heard[:end]

    def _told(self, heard: bytes, error: OSError) -> bytes:
        """Return what the server has said before the connection broke, or raise the error.

        A yes is worth nothing without the connection; but it tells what became of a mail that is out.
        """
        said = heard if answers.has_code(heard) else answers.refusal(self._unasked)
        self._rest = b""
        if said and (self._final or answers.understood(said).code >= 400):
            self.close()
            return said
        if said or b"\n" not in heard or not heard.strip():
            raise error
        raise smtplib.SMTPException(f"no SMTP reply: {heard[:1_000].decode('utf-8', 'replace')}") from error

    def _receive(self, deadline: float) -> bytes:
        sock = self._connected
        # There is nothing to hear yet, as a rule; but of TLS only one record was read, and more may have come with it.
        event = 0 if isinstance(sock, ssl.SSLSocket) else select.POLLIN
        while True:
            if event:
                self._wait(event, deadline)
            try:
                piece = sock.recv(REPLY_LIMIT)
                if not piece:
                    raise smtplib.SMTPServerDisconnected("the mail server closed the connection")
                if QUICKACK is not None and piece.count(b"\n") <= self._due:
                    # More is due: a server that sends its replies one by one waits with the next for this word.
                    sock.setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)
                return piece
            except (BlockingIOError, ssl.SSLWantReadError):
                event = select.POLLIN
            except ssl.SSLWantWriteError:
                event = select.POLLOUT

    def _still_leaves(self) -> bool:
        """Return whether the answer is late because the mail has only just gone out of the kernel's buffer."""
        before, self._left = self._left, _unacknowledged(self._connected)
        return self._left < before and (self._left > 0 or before < inf)

    def _wait(self, event: int, deadline: float) -> None:
        """Raises TimeoutError."""
        sock, here = self._connected, hub.current()
        deadline = min(deadline, self.limit)
        while True:
            now, end = time.monotonic(), self._stop.answers if self._final else self._stop.sending
            end = min(end, deadline)
            until = now + LOOK if now + LOOK < end else end
            if here:
                self._watch = self._watch or here.watch(sock.fileno())
                ready = here.wait_for(self._watch, event, until)
            else:
                self._poll.modify(sock, event)
                ready = bool(self._poll.poll(max(0.0, until - now) * 1000))
            if ready:
                return
            if until == end:
                raise TimeoutError


def _unacknowledged(sock: socket.socket) -> int:
    """Octets that were sent and not acknowledged yet; 0 where only other systems than Linux could tell."""
    if sys.platform != "linux":
        return 0
    return int.from_bytes(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
