"""Stop signals and the death of child processes, as events that the main thread can wait for."""

from __future__ import annotations

import signal
import time
from queue import Empty, SimpleQueue
from types import FrameType, TracebackType
from typing import Any, Self

from cli.servers.program import Patience

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Seconds in which several signals count as one: a terminal or a supervisor signals the whole process group, and a
# parent in that group passes the signal on, which takes it a while on a busy machine.
SAME_STOP = 2.0


class Interrupted(Exception):
    """A stop signal arrived before the start was complete."""


class Signals(Patience):
    """Context manager that counts stop signals instead of letting them end the process. They also end a pause early.

    It does not poll, so that an idle supervisor uses no CPU.
    """

    def __init__(self) -> None:
        self.stops = 0
        self.stopping = False
        self._last = 0.0
        # SimpleQueue is reentrant: the put() of a signal handler may interrupt a get() in the same thread.
        self._arrived: SimpleQueue[None] = SimpleQueue()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        # A signal that is ignored, such as SIGHUP under nohup, stays ignored.
        wanted = [s for s in STOPPING if signal.getsignal(s) is not signal.SIG_IGN or s == signal.SIGINT]
        for number in wanted:
            self._before[number] = signal.signal(number, self._on_stop)
        self._before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, self._on_child)
        return self

    def __exit__(self, _type: type[BaseException] | None, _exc: object, _trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def hurried(self) -> bool:
        """True after a second stop signal."""
        return self.stops > 1

    def wait(self, seconds: float | None) -> None:
        """Wait for a signal, for at most `seconds`; None waits without limit."""
        try:
            self._arrived.get(timeout=seconds)
        except Empty:
            return

    def pause(self, seconds: float) -> None:
        """Wait for a signal, for at most `seconds`. Raises Interrupted once, after the first stop signal."""
        self.wait(seconds)
        if self.stops and not self.stopping:
            self.stopping = True
            raise Interrupted

    def _on_stop(self, _number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.stops == 0 or now - self._last > SAME_STOP:
            self.stops += 1
            self._last = now
        self._arrived.put(None)

    def _on_child(self, _number: int, _frame: FrameType | None) -> None:
        self._arrived.put(None)
