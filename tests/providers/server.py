"""An HTTP server that keeps connections, with scripted faults for the next requests."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple, NoReturn, Self

import orjson


class Received(NamedTuple):
    """A request as it came; `headers` have lower-case names."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


class Reply(NamedTuple):
    """An answer; `body` is bytes, or what becomes JSON."""

    status: int
    body: Any = b""
    headers: Mapping[str, str] = {}

    @property
    def octets(self) -> bytes:
        content = self.body if isinstance(self.body, bytes) else orjson.dumps(self.body)
        lines = [f"HTTP/1.1 {self.status} Said", f"Content-Length: {len(content)}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join([*lines, "", ""]).encode() + content


class Exchange(NamedTuple):
    """One request in the hands of a fault. `read` reads more of the body, `serve` answers as the provider would."""

    client: socket.socket
    read: Callable[[int], bytes]
    serve: Callable[[], Reply]
    stopping: threading.Event


Fault = Callable[[Exchange], None]


class Server:
    """Until the end of the block it answers with `serve`, or does what is first in `faults`."""

    def __init__(self, serve: Callable[[Received], Reply], tls: ssl.SSLContext | None = None) -> None:
        self.faults: deque[Fault] = deque()
        self.requests: list[Received] = []
        self.connections = 0
        self._serve, self._tls = serve, tls
        self._listener = socket.socket()
        # Small, so that a large request waits in the sender until it is read here.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._clients: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, _type: type[BaseException] | None, _exc: object, _trace: TracebackType | None) -> None:
        self.refuse()
        self._stopping.set()
        self.drop_connections()
        for thread in self._threads:
            thread.join(10)

    def refuse(self) -> None:
        """Accept no connection any more."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def drop_connections(self) -> None:
        """Close all connections, as a server does with those that are idle."""
        for client in self._clients:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, name="provider", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                self._start(self._talk, client)

    def _talk(self, client: socket.socket) -> None:
        client.settimeout(20)
        with suppress(OSError), client:  # The other side may leave at any time.
            if self._tls:
                client = self._tls.wrap_socket(client, server_side=True)
            self._clients.append(client)
            with client, client.makefile("rb") as stream:
                while self._one(client, stream):
                    pass

    def _one(self, client: socket.socket, stream: BinaryIO) -> bool:
        """Deal with one request; return whether there may be another one."""
        words = stream.readline().decode("latin-1").split()
        if len(words) != 3 or words[0] not in ("POST", "GET"):  # The other side has left, or does not speak HTTP.
            return False
        method, target, _ = words
        headers = {}
        while (header := stream.readline()) != b"\r\n":
            if not header.endswith(b"\n"):  # The connection has ended.
                return False
            name, _, value = header.decode().strip().partition(": ")
            headers[name.lower()] = value
        left = int(headers.get("content-length", "0"))
        body = b""

        def read(most: int) -> bytes:
            nonlocal body
            body += stream.read(min(most, left - len(body)))
            return body

        def serve() -> Reply:
            received = Received(method, target, headers, read(left))
            if len(received.body) < left:
                raise ConnectionResetError
            self.requests.append(received)
            return self._serve(received)

        if self.faults:
            self.faults.popleft()(Exchange(client, read, serve, self._stopping))
            return len(body) == left
        client.sendall(serve().octets)
        return True


def answering(status: int, body: object = b"", **headers: str) -> Fault:
    """Read the request, take nothing, and answer this."""

    def fault(exchange: Exchange) -> None:
        exchange.read(1 << 30)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        exchange.client.sendall(Reply(status, body, named).octets)

    return fault


def saying(octets: bytes) -> Fault:
    """Take the mail, and answer with these octets."""

    def fault(exchange: Exchange) -> None:
        exchange.serve()
        exchange.client.sendall(octets)

    return fault


def hang_before(exchange: Exchange) -> None:
    """Read nothing of the body."""
    exchange.stopping.wait(30)


def hang_after(exchange: Exchange) -> None:
    """Take the mail, and never answer."""
    exchange.serve()
    exchange.stopping.wait(30)


def reset_after(exchange: Exchange) -> None:
    """Take the mail, and break off the connection before the answer."""
    exchange.serve()
    _reset(exchange.client)


def cut_at(octets: int) -> Fault:
    """Break off the connection after so many octets of the body."""

    def fault(exchange: Exchange) -> None:
        exchange.read(octets)
        _reset(exchange.client)

    return fault


def answer_cut_at(octets: int) -> Fault:
    """Take the mail, send so many octets of the answer, and close the connection."""

    def fault(exchange: Exchange) -> None:
        exchange.client.sendall(exchange.serve().octets[:octets])
        exchange.client.shutdown(socket.SHUT_RDWR)

    return fault


def answer_twice(exchange: Exchange) -> None:
    """Take the mail, and answer two times."""
    exchange.client.sendall(exchange.serve().octets * 2)


def close_after(exchange: Exchange) -> None:
    """Take the mail, answer, and close the connection without announcing it."""
    # The end arrives with the answer. Later, it could arrive when the next request is already on its way.
    exchange.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    exchange.client.sendall(exchange.serve().octets)
    exchange.client.shutdown(socket.SHUT_RDWR)


def _reset(client: socket.socket) -> NoReturn:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise ConnectionResetError  # which leads out of all that holds the socket open
