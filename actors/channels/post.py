"""One POST to a stranger's server: within a deadline for all of it, and of its answer only so much.

Stands on http.client, which reads answers well, follows no redirects and knows no proxies. What it
lacks is an end: its time-out begins anew with every piece that arrives.
"""

from __future__ import annotations

import contextlib
import io
import socket
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from typing import Any, NamedTuple, cast

from actors.channels.target import Target

BODY_LIMIT = 16_384  # octets that are read of the body of an answer
ANSWER_LIMIT = 131_072  # octets that are read at all: some servers have long heads
BODY_WAIT = 1.0  # seconds; the status says it all, the rest is for people


class Broken(Exception):
    """It did not come to an answer. `timed_out`: because the time was over."""

    def __init__(self, phase: str, text: str, *, timed_out: bool = False) -> None:
        super().__init__(text)
        self.phase, self.text, self.timed_out = phase, text, timed_out


class Answer(NamedTuple):
    status: int
    reason: str
    body: bytes


class Request(NamedTuple):
    """`addresses` as `getaddrinfo` gives them; `until`, a `time.monotonic()`, is when all of it must be done."""

    target: Target
    addresses: Sequence[tuple[Any, ...]]
    headers: Mapping[str, str]
    body: bytes
    until: float


def post(request: Request, context: ssl.SSLContext) -> Answer:
    """POST to one of the addresses and no other.

    Raises:
        Broken: in one of the phases connect, tls, request and answer; from request on it may have arrived.
    """
    target, until = request.target, request.until
    with contextlib.closing(_connect(request.addresses, until)) as plain:
        with _breaking("tls"):
            # The handshake as a whole keeps to the time-out of the socket.
            plain.settimeout(_left(until))
            secured = context.wrap_socket(plain, server_hostname=target.host) if target.scheme == "https" else plain
        with contextlib.closing(secured):
            return _exchange(request, _Bounded(secured, until))


def _connect(addresses: Sequence[tuple[Any, ...]], until: float) -> socket.socket:
    last: Exception = OSError("no address")
    for place, (family, kind, protocol, _, address) in enumerate(addresses):
        with _breaking("connect"):
            left = _left(until)
        sock = socket.socket(family, kind, protocol)
        try:
            # The first ones leave time for the others.
            sock.settimeout(left / (len(addresses) - place))
            sock.connect(address)
        except OSError as error:
            sock.close()
            last = error
        else:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
    with _breaking("connect"):
        raise last


def _exchange(request: Request, sock: _Bounded) -> Answer:
    target = request.target
    connection = HTTPConnection(target.host, target.port)
    connection.sock = cast(socket.socket, sock)
    headers = {"Host": target.authority, "Connection": "close", **request.headers}
    with _breaking("request"):
        connection.request("POST", target.path, request.body, headers)
    with _breaking("answer"):
        response = connection.getresponse()
    sock.until = min(sock.until, time.monotonic() + BODY_WAIT)
    try:
        said = response.read(BODY_LIMIT)
    except (OSError, HTTPException, ValueError):
        said = b""
    return Answer(response.status, response.reason, said)


class _Bounded:
    """As much of a socket as http.client wants, all of it within one deadline."""

    def __init__(self, sock: socket.socket, until: float) -> None:
        self._sock, self.until = sock, until
        self._room = ANSWER_LIMIT

    def sendall(self, data: bytes) -> None:
        self._sock.settimeout(_left(self.until))
        self._sock.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self))

    def receive(self, buffer: memoryview) -> int:
        if self._room <= 0:
            raise HTTPException("an answer without end")
        self._sock.settimeout(_left(self.until))
        count = self._sock.recv_into(buffer)
        self._room -= count
        return count

    def close(self) -> None:
        """Whoever opened the socket closes it; http.client would before the body is read."""


class _Reader(io.RawIOBase):
    def __init__(self, sock: _Bounded) -> None:
        super().__init__()
        self._sock = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._sock.receive(memoryview(buffer))


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


@contextlib.contextmanager
def _breaking(phase: str) -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise Broken(phase, "no answer in time", timed_out=True) from None
    except ssl.SSLCertVerificationError as error:
        raise Broken(phase, f"the certificate is not good: {error.verify_message}") from None
    except (OSError, HTTPException, ValueError) as error:
        text = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise Broken(phase, text) from None
