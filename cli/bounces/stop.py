"""Order to stop, which also ends a wait."""

from __future__ import annotations

import select
import signal
import socket
from types import FrameType
from typing import Protocol


class HasFileno(Protocol):
    """Object that `select` can wait for."""

    def fileno(self) -> int:
        """Return the number of its file descriptor."""


class Stop:
    """Order to stop, by SIGTERM or SIGINT."""

    def __init__(self) -> None:
        self.asked = False
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)

    def listen(self) -> None:
        """Take the signals from now on. Call in the main thread."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def wait(self, seconds: float, *others: HasFileno) -> None:
        """Wait for the order, until one of the others can be read, or so many seconds."""
        select.select([self._reader, *others], [], [], seconds)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        if not self.asked:
            self.asked = True
            self._writer.send(b"\0")
