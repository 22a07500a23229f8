"""An HTTP server that receives callbacks, with scripted answers and faults."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, NamedTuple, Self

Answer = Callable[[socket.socket], None]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"


class Post(NamedTuple):
    """A request as it came; `headers` have lower-case names."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def saying(*pieces: bytes, every: float = 0.0) -> Answer:
    """Say these, with a pause before each but the first."""

    def answer(client: socket.socket) -> None:
        for place, piece in enumerate(pieces):
            if place and every:
                threading.Event().wait(every)
            client.sendall(piece)

    return answer


def status(code: int, *headers: str, body: str = "") -> Answer:
    """A whole answer, after which the server closes: a client must not go on using the connection."""
    lines = [f"HTTP/1.1 {code} Said", "Connection: close", f"Content-Length: {len(body)}", *headers, "", body]
    return saying("\r\n".join(lines).encode())


class Hooks:
    """Until the end of the block it notes each request and answers it with `answer`."""

    def __init__(
        self, answer: Answer | None = None, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
    ) -> None:
        self.answer = answer or saying(OK)
        self.posts: list[Post] = []
        self.connections = 0
        self._tls = tls
        self._listener = socket.create_server((host, 0))
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self.port: int = self._listener.getsockname()[1]

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/hook?a=1"

    def __enter__(self) -> Self:
        self._start(self._serve)
        return self

    def __exit__(self, _type: type[BaseException] | None, _exc: object, _trace: TracebackType | None) -> None:
        self._stopping.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def hang(self, _client: socket.socket) -> None:
        """Say nothing until the end of the block. It can be set as the answer."""
        self._stopping.wait()

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, name="hooks", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                self._start(self._talk, client)

    def _talk(self, client: socket.socket) -> None:
        client.settimeout(20)
        # The other side may leave at any time.
        with client, suppress(OSError):
            if self._tls:
                client = self._tls.wrap_socket(client, server_side=True)
            with client, client.makefile("rb") as stream:
                line = stream.readline().decode().strip()
                if not line:  # It has left without a request.
                    return
                headers = {}
                while header := stream.readline().decode().strip():
                    name, _, value = header.partition(": ")
                    headers[name.lower()] = value
                self.posts.append(Post(line, headers, stream.read(int(headers.get("content-length", "0")))))
                self.answer(client)
