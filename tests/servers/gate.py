"""TCP forwarder that a test can close in one direction: what comes then is held back."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self

PIECE = 65_536  # bytes


class Gate:
    """Forwards connections to a port of this machine, `forth` to the server and `back` to the client.

    `port`: where it listens; 0 for any port.
    """

    def __init__(self, target: int, port: int = 0) -> None:
        self._target, self.port = ("127.0.0.1", target), port
        self.forth, self.back = threading.Event(), threading.Event()
        self.open()

    def open(self) -> None:
        """Let everything pass."""
        self.forth.set()
        self.back.set()

    def __enter__(self) -> Self:
        self._listening = socket.create_server(("127.0.0.1", self.port))
        self.port = int(self._listening.getsockname()[1])
        self._ends: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        # What a thread waits for is no longer to come.
        for end in (self._listening, *self._ends):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self.open()
        for thread in self._threads:
            thread.join()
        for end in (self._listening, *self._ends):
            end.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.create_connection(self._target)
                self._ends += [near, far]
                for source, to, way in ((near, far, self.forth), (far, near, self.back)):
                    thread = threading.Thread(target=self._forward, args=(source, to, way))
                    self._threads.append(thread)
                    thread.start()

    def _forward(self, source: socket.socket, to: socket.socket, way: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(PIECE):
                way.wait()
                to.sendall(piece)
        with contextlib.suppress(OSError):
            to.shutdown(socket.SHUT_RDWR)
