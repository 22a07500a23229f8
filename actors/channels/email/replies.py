"""The socket of an SMTP conversation on the event loop: what is sent, what is heard, and how long either may take.

A transport of asyncio would do for the good case. It throws away what it has not read when a write fails, and it
does not tell how much of a large mail has gone out: both decide what became of a mail.
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import ssl
import sys
import termios
import time
from collections.abc import Callable
from math import inf
from typing import Any

from actors.channels.email import answers
from actors.channels.email.answers import Reply
from actors.channels.email.connecting import connect

# Linux has it: what has come is acknowledged at once, and not 40 ms later with what is said next.
QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)
REPLY_LIMIT = 16_384  # octets; the longest, to EHLO, has some hundred
FLOOD = 4_000_000  # octets; a server that says more in one reply never comes to an end
STRAY = 5.0  # seconds; a line without a code is followed by the reply soon, or was all that comes
LOOK = 1.0  # seconds; how often a wait looks whether this process stops

_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Disconnected(ConnectionError):
    """The mail server closed the connection, or its replies cannot be understood."""


class Stop:
    """When a process that stops gives up what is not out, and the answers to what is (`time.monotonic()`)."""

    sending = answers = inf


class Client:
    """One connection to a mail server, which may be told more before it has answered.

    `patience`: seconds for each reply, and for each piece of a transfer that gets through. `limit`: when all
    of it must be over (`time.monotonic()`). `encoding`: of the commands.
    """

    def __init__(self, patience: float, stop: Stop | None = None) -> None:
        self.patience, self.limit = patience, inf
        self.encoding = "ascii"
        self.sock: socket.socket | None = None
        self._loop = asyncio.get_running_loop()
        self._stop = stop or Stop()
        self._waiter: asyncio.Future[bool] | None = None
        self._reading = False
        self._inbox = b""  # what has come and was not heard yet
        self._end: OSError | None = None  # why nothing more will come
        self._rest = b""
        self._unasked = b""  # what the server had said before the last request, and was no answer to one
        self._due = 1  # replies to what was said; the first is the greeting
        self._final = False  # whether a mail is out, and only its answer can tell what became of it
        self._gone = 0  # octets of what is being said that the socket has taken
        self._left = inf  # octets of it that the other side had not acknowledged when the answer was late

    async def reach(self, host: str, port: int) -> None:
        """Connect; what the server then says is for `hear`."""
        self._take(await connect(host, port, timeout=min(self.patience, self.limit - time.monotonic())))

    async def encrypt(self, context: ssl.SSLContext, host: str) -> None:
        """Speak TLS from here on. What was learnt in clear is forgotten with the next EHLO (RFC 3207, 4.2)."""
        self._rest = self._unasked = self._inbox = b""
        plain = self._connected
        self._read_no_more()
        sock = context.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
        self.sock = sock
        deadline = time.monotonic() + self.patience
        while True:
            try:
                sock.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self._ready(self._loop.add_reader, self._loop.remove_reader, deadline)
            except ssl.SSLWantWriteError:
                await self._ready(self._loop.add_writer, self._loop.remove_writer, deadline)
        self._take(sock)

    async def command(self, line: str) -> Reply:
        """Say one command and return its reply."""
        await self.say(f"{line}\r\n".encode(self.encoding), 1)
        return await self.hear()

    async def say(self, said: bytes, replies: int) -> None:
        """Send all of it; so many replies are due then. Not sent is what the server has hung up on with a 421.

        Raises:
            OSError: it did not go out, and the server has not said why.
        """
        await self._say(said, replies, len(said), only=421)

    async def say_content(self, said: bytes, replies: int, needed: int) -> bool:
        """Send a mail, and what goes along behind its first `needed` octets.

        Return False where the server has refused it, of which `hear` tells, before those were out.

        Raises:
            OSError: they did not go out, and the server has not said why. That the others did not, their
                replies will show.
        """
        self._left = inf
        return await self._say(said, replies, needed)

    async def hear(self, final: bool = False) -> Reply:
        """Return one reply, whole within the time-out. `final`: nothing but it can tell what became of a mail.

        Raises:
            OSError: there was none.
        """
        self._due -= 1
        return answers.understood(await self._answer(final))

    def at_hand(self) -> Reply | None:
        """Return the next reply, if all of it has come: most do, of what was said ahead."""
        if self._inbox:
            self._rest += self._heard()
        end = answers.end(self._rest)
        if not end or len(self._rest) > REPLY_LIMIT:
            return None
        answer, self._rest = self._rest[:end], self._rest[end:]
        self._due -= 1
        return answers.understood(answer)

    async def hear_lines(self) -> tuple[Reply, list[str]]:
        """Return one reply and its lines without their codes, as for EHLO; raises as `hear`."""
        self._due -= 1
        answer = await self._answer()
        return answers.understood(answer), answers.parted(answer)[1].decode("utf-8", "replace").split("\n")

    def close(self) -> None:
        """Close the connection."""
        self._end = self._end or Disconnected("not connected")
        if self.sock is not None:
            self._read_no_more()
            self.sock.close()
            self.sock = None
        self._wake()

    @property
    def alive(self) -> bool:
        """Whether the connection is open, as far as we know."""
        return self.sock is not None and self._end is None

    @property
    def _connected(self) -> socket.socket:
        if self.sock is None:
            raise Disconnected("not connected")
        return self.sock

    def _take(self, sock: socket.socket) -> None:
        self.sock, self._end = sock, None
        self._read_on()

    def _read_on(self) -> None:
        if not self._reading and self._end is None:
            self._reading = True
            self._loop.add_reader(self._connected, self._read)
            if isinstance(self.sock, ssl.SSLSocket) and self.sock.pending():  # Of which the loop knows nothing.
                self._loop.call_soon(self._read)

    def _read_no_more(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._connected)

    def _read(self) -> None:
        """Take what has come. The loop calls this."""
        if self.sock is None or not self._reading:
            return
        sock = self.sock
        try:
            while True:
                piece = sock.recv(REPLY_LIMIT)
                if not piece:
                    raise Disconnected("the mail server closed the connection")
                self._inbox += piece
                # More is due: a server that sends its replies one by one waits with the next for this word.
                if QUICKACK is not None and piece.count(b"\n") <= self._due:
                    sock.setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)
                # TLS may have read more records than it gave; the loop does not see those.
                if not isinstance(sock, ssl.SSLSocket) or len(self._inbox) > REPLY_LIMIT:
                    break
        except _NOT_NOW:
            pass
        except OSError as error:
            self._end = error
            self._read_no_more()
        if len(self._inbox) > REPLY_LIMIT:  # Until somebody hears it.
            self._read_no_more()
        self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(True)

    async def _say(self, said: bytes, replies: int, needed: int, only: int | None = None) -> bool:
        """`only`: the code of the refusal that keeps it from being sent; None: any does."""
        due, self._due, self._final = self._due, self._due + replies, False
        if not due:  # What the server has said without being asked is nobody's answer.
            self._unasked = self._rest + self._heard()
            self._rest = answers.refusal(self._unasked, only) if self._unasked else b""
            if self._rest:
                return False
        self._gone = 0
        try:
            refused = await self._send_all(said, only)
        except OSError:
            if self._gone < needed and not self._last_words():
                raise
            return self._gone >= needed
        return not refused

    async def _send_all(self, said: bytes, only: int | None) -> bool:
        """Send until all has gone or the server refuses it, and return whether it did.

        Each piece that gets through renews the time-out (RFC 5321, 4.5.3.2.5).
        """
        sock, deadline, loop = self._connected, 0.0, self._loop
        while True:
            try:
                self._gone += sock.send(memoryview(said)[self._gone :] if self._gone else said)
                if self._gone >= len(said):
                    return False
                deadline = 0.0
            except ssl.SSLWantReadError:
                await self._wait(deadline := deadline or time.monotonic() + self.patience)
            except (BlockingIOError, ssl.SSLWantWriteError):
                deadline = deadline or time.monotonic() + self.patience
                await self._ready(loop.add_writer, loop.remove_writer, deadline)
            if self._overheard(only):
                return True

    def _heard(self) -> bytes:
        heard, self._inbox = self._inbox, b""
        self._read_on()
        return heard

    def _overheard(self, only: int | None) -> bool:
        """Return whether the server refuses what is still being sent; anything else that it says now is no answer."""
        if self._inbox:
            self._unasked = (self._unasked + self._heard())[-REPLY_LIMIT:]
            self._rest = answers.refusal(self._unasked, only)
            if self._rest:
                return True
        if self._end is not None:
            raise self._end
        return False

    def _last_words(self) -> bool:
        """Return whether the server had refused before the connection broke: it may be in the receive buffer yet."""
        heard = self._unasked + self._heard()
        try:
            while len(heard) < FLOOD and (piece := self._connected.recv(REPLY_LIMIT)):
                heard += piece
        except OSError:
            pass
        self._rest = answers.refusal(heard)
        return bool(self._rest)

    async def _answer(self, final: bool = False) -> bytes:
        heard, deadline, octets = self._rest, 0.0, 0
        self._final = final
        end = answers.end(heard) if heard else 0
        while not end:
            deadline = deadline or time.monotonic() + self.patience
            try:
                while not self._inbox:
                    if self._end is not None:
                        raise self._end
                    await self._wait(deadline)
                piece = self._heard()
                heard, octets = heard + piece, octets + len(piece)
                if len(heard) > REPLY_LIMIT:
                    heard = answers.shortened(heard)
                if octets > FLOOD:
                    raise Disconnected("a reply without end")
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
        raise Disconnected(f"no SMTP reply: {heard[:1_000].decode('utf-8', 'replace')}") from error

    def _still_leaves(self) -> bool:
        """Return whether the answer is late because the mail has only just gone out of the kernel's buffer."""
        before, self._left = self._left, _unacknowledged(self._connected)
        return self._left < before and (self._left > 0 or before < inf)

    async def _ready(self, add: Callable[..., Any], remove: Callable[..., Any], deadline: float) -> None:
        """Wait until the socket is ready for the event of this pair of the loop's methods, or something has come."""
        sock = self._connected
        add(sock, self._wake)
        try:
            await self._wait(deadline)
        finally:
            if sock.fileno() >= 0:
                remove(sock)

    async def _wait(self, deadline: float) -> None:
        """Wait until something happens; raises TimeoutError."""
        deadline = min(deadline, self.limit)
        while True:
            now, end = time.monotonic(), self._stop.answers if self._final else self._stop.sending
            end = min(end, deadline)
            if now >= end:
                raise TimeoutError
            self._waiter = waiter = self._loop.create_future()
            timer = self._loop.call_later(min(LOOK, end - now), _late, waiter)
            try:
                if await waiter:
                    return
            finally:
                timer.cancel()
                self._waiter = None


def _late(waiter: asyncio.Future[bool]) -> None:
    if not waiter.done():
        waiter.set_result(False)


def _unacknowledged(sock: socket.socket) -> int:
    """Octets that were sent and not acknowledged yet; 0 where only other systems than Linux could tell."""
    if sys.platform != "linux":
        return 0
    return int.from_bytes(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
