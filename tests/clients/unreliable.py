"""A network between a client and the API that drops requests or answers as a test says."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from tests.hooks import Hooks, Post


class Unreliable:
    """Forwards each request to the API and loses the first `lost` answers."""

    def __init__(self, port: int, lost: int) -> None:
        self._port, self._lost = port, lost
        self.hooks = Hooks()
        self.hooks.answer = self._forward

    @property
    def base_url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.hooks.port}"

    @property
    def keys(self) -> list[str]:
        """Return the Idempotency-Key of each request."""
        return [post.headers.get("idempotency-key", "") for post in self.hooks.posts]

    def hold(self) -> None:
        """Forward requests, and hold their answers back until the end of the block."""

        def holding(client: socket.socket) -> None:
            _exchange(self._port, _raw(self.hooks.posts[-1]))
            self.hooks.hang(client)

        self.hooks.answer = holding

    def _forward(self, client: socket.socket) -> None:
        answer = _exchange(self._port, _raw(self.hooks.posts[-1]))
        if self._lost:
            self._lost -= 1
        else:
            client.sendall(answer)


@contextmanager
def unreliable(port: int, lost: int) -> Iterator[Unreliable]:
    """Return a network until the end of the block."""
    network = Unreliable(port, lost)
    with network.hooks:
        yield network


def _exchange(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 20) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


def _raw(post: Post) -> bytes:
    headers = post.headers | {"connection": "close"}
    lines = [post.line, *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode() + post.body
