"""Socket of an SMTP conversation on the event loop, with a time-out for each wait.

asyncio's transports are not used. They discard unread data when a write fails, and do not tell how much of a large
mail has been sent: both decide whether a mail may have been accepted.
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

from actors.channels.email.connecting import connect

# Linux only: acknowledge received data at once, instead of 40 ms later with the next data that is sent.
QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)
REPLY_LIMIT = 16_384  # octets; the longest reply, to EHLO, has a few hundred
LOOK = 1.0  # seconds between two checks of `Stop` during a wait

_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Disconnected(ConnectionError):
    """The mail server closed the connection, or its replies cannot be understood."""


class Stop:
    """Times (`time.monotonic()`) at which a stopping process gives up.

    `sending`: unsent mails. `answers`: the answers to sent mails.
    """

    sending = answers = inf


class SmtpSocket:
    """Non-blocking socket that collects received data in `_inbox`.

    `timeout`: seconds for each reply, and for each piece of a transfer that is sent. `limit`: time by which the whole
    conversation must be over (`time.monotonic()`).
    """

    def __init__(self, timeout: float, stop: Stop | None = None) -> None:
        self.timeout, self.limit = timeout, inf
        self.sock: socket.socket | None = None
        self._loop = asyncio.get_running_loop()
        self._stop = stop or Stop()
        self._waiter: asyncio.Future[bool] | None = None
        self._reading = False
        self._inbox = b""  # received data that was not processed yet
        self._end: OSError | None = None  # the reason why no more data will be received
        self._due = 1  # replies that are due; the first one is the greeting
        self._final = False  # True if a mail is sent, and only its reply can tell its fate

    async def reach(self, host: str, port: int) -> None:
        """Connect, and begin to read."""
        self._take(await connect(host, port, timeout=min(self.timeout, self.limit - time.monotonic())))

    async def encrypt(self, context: ssl.SSLContext, host: str) -> None:
        """Start TLS. Data received before are discarded (RFC 3207, section 4.2)."""
        self._inbox = b""
        plain = self._connected
        self._read_no_more()
        sock = context.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
        self.sock = sock
        deadline = time.monotonic() + self.timeout
        while True:
            try:
                sock.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self._ready(self._loop.add_reader, self._loop.remove_reader, deadline)
            except ssl.SSLWantWriteError:
                await self._ready(self._loop.add_writer, self._loop.remove_writer, deadline)
        self._take(sock)

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
        """True if the connection is open, as far as known."""
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
            if isinstance(self.sock, ssl.SSLSocket) and self.sock.pending():  # The loop does not see these data.
                self._loop.call_soon(self._read)

    def _read_no_more(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._connected)

    def _read(self) -> None:
        """Receive available data. The event loop calls it."""
        if self.sock is None or not self._reading:
            return
        try:
            self._receive(self.sock)
        except _NOT_NOW:
            pass
        except OSError as error:
            self._end = error
            self._read_no_more()
        if len(self._inbox) > REPLY_LIMIT:  # Pause until `_heard` empties the inbox.
            self._read_no_more()
        self._wake()

    def _receive(self, sock: socket.socket) -> None:
        while True:
            piece = sock.recv(REPLY_LIMIT)
            if not piece:
                raise Disconnected("the mail server closed the connection")
            self._inbox += piece
            # More replies are due, and the server may wait for this acknowledgement before it sends the next one.
            if QUICKACK is not None and piece.count(b"\n") <= self._due:
                sock.setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)
            # The TLS layer may hold more decrypted data than it returned; the loop does not see those.
            if not isinstance(sock, ssl.SSLSocket) or len(self._inbox) > REPLY_LIMIT:
                break

    def _heard(self) -> bytes:
        """Empty the inbox, continue to read, and return what was in it."""
        heard, self._inbox = self._inbox, b""
        self._read_on()
        return heard

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(True)

    async def _ready(self, add: Callable[..., Any], remove: Callable[..., Any], deadline: float) -> None:
        """Wait until the socket is ready, or data were received.

        `add`, `remove`: the event loop's methods for the event, such as `add_writer` and `remove_writer`.
        """
        sock = self._connected
        add(sock, self._wake)
        try:
            await self._wait(deadline)
        finally:
            if sock.fileno() >= 0:
                remove(sock)

    async def _wait(self, deadline: float) -> None:
        """Wait until `_wake` is called. Raises TimeoutError at the deadline, the limit, or when the process stops."""
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

    def _unacknowledged(self) -> int:
        """Return the octets that were sent but not acknowledged yet; always 0 except on Linux."""
        if sys.platform != "linux":
            return 0
        return int.from_bytes(fcntl.ioctl(self._connected.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)


def _late(waiter: asyncio.Future[bool]) -> None:
    if not waiter.done():
        waiter.set_result(False)
