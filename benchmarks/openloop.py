"""Open-loop load: POSTs at fixed times, however slowly they are answered.

Latencies count from the time at which a POST was due, so that a stalled server is not hidden by a generator that waits
for it. It uses one thread and select(2), whose time-out has a resolution below a millisecond.
"""

from __future__ import annotations

import select
import socket
import time
from dataclasses import dataclass, field

from benchmarks.wire import Endpoint, answer


@dataclass(slots=True)
class Connection:
    """Persistent connection. It is busy while an answer is due."""

    socket: socket.socket
    rest: bytes = b""


@dataclass(slots=True)
class OpenLoop:
    """Generator of POSTs to one endpoint, over as many persistent connections as needed."""

    target: Endpoint
    idle: list[Connection] = field(default_factory=list)
    busy: dict[socket.socket, Connection] = field(default_factory=dict)
    errors: int = 0

    def run(self, rate: float, count: int, prefix: str) -> dict[str, float]:
        """POST `count` notifications, and return the due time (Unix seconds) by recipient."""
        start = time.time() + 0.05
        due = {f"{prefix}{n}@example.com": start + n / rate for n in range(count)}
        for recipient, moment in due.items():
            self._answers_until(moment)
            self._post(recipient)
        self._answers_until(time.time() + 10, stop_when_idle=True)
        self.errors += len(self.busy)
        return due

    def close(self) -> None:
        """Close all connections."""
        for connection in (*self.idle, *self.busy.values()):
            connection.socket.close()

    def _post(self, recipient: str) -> None:
        connection = self.idle.pop() if self.idle else self._connect()
        self.busy[connection.socket] = connection
        try:
            connection.socket.sendall(self.target.post(recipient))
        except OSError:
            self._lost(connection)

    def _connect(self) -> Connection:
        opened = socket.create_connection((self.target.host, self.target.port), timeout=10)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Connection(opened)

    def _answers_until(self, moment: float, *, stop_when_idle: bool = False) -> None:
        while (left := moment - time.time()) > 0 and not (stop_when_idle and not self.busy):
            # Watch idle connections too: a server may close them.
            watched = [*self.busy, *(connection.socket for connection in self.idle)]
            for ready in select.select(watched, [], [], left)[0]:
                self._read(ready)

    def _read(self, ready: socket.socket) -> None:
        try:
            data = ready.recv(65_536)
        except OSError:
            data = b""
        connection = self.busy.get(ready)
        if connection is None:
            self.idle = [kept for kept in self.idle if kept.socket is not ready]
            ready.close()
            return
        found = answer(connection.rest + data)
        if found:
            status, connection.rest = found
            self.errors += status != 201
            self.idle.append(self.busy.pop(ready))
        elif data:
            connection.rest += data
        else:
            self._lost(connection)

    def _lost(self, connection: Connection) -> None:
        self.errors += 1
        del self.busy[connection.socket]
        connection.socket.close()
