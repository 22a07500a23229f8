"""Stop signals and the death of child processes, as events that the main thread can wait for."""

from __future__ import annotations

import os
import select
import signal
import time
from types import FrameType, TracebackType
from typing import Any, Self

from cli.servers.program import StopRequests

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Seconds in which several signals count as one request to stop: a terminal or a supervisor signals the whole process
# group, and a parent in that group passes the signal on, which takes it a while on a busy machine.
SAME_STOP = 2.0
UNREAD = 4096  # bytes; there is one for each signal since the last wait


class Interrupted(Exception):
    """Somebody wants us to stop before we have started."""


class Signals(StopRequests):
    """Context manager that counts stop signals instead of letting them end the process. They also end a pause early.

    It does not poll, so that an idle supervisor uses no CPU. The kernel may deliver a signal to another thread, such
    as that of the mail catcher, and Python runs the handler only once the main thread runs again. So the main thread
    waits for the byte that Python writes to a pipe when a signal arrives in any thread (`signal.set_wakeup_fd`).
    """

    def __init__(self) -> None:
        self.stops = 0
        self.stopping = False
        self._last = 0.0
        self._before: dict[int, Any] = {}
        self._arrivals = select.poll()
        self._pipe: tuple[int, int] = (-1, -1)
        self._wakeup_before = -1

    def __enter__(self) -> Self:
        self._pipe = reader, writer = os.pipe()
        os.set_blocking(writer, False)  # as set_wakeup_fd requires
        self._arrivals.register(reader, select.POLLIN)
        self._wakeup_before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        # A signal that is ignored, such as SIGHUP under nohup, stays ignored.
        wanted = [s for s in STOPPING if signal.getsignal(s) is not signal.SIG_IGN or s == signal.SIGINT]
        for number in wanted:
            self._before[number] = signal.signal(number, self._on_stop)
        self._before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, self._on_child)
        return self

    def __exit__(self, _type: type[BaseException] | None, _exc: object, _trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        self._arrivals.unregister(self._pipe[0])
        for end in self._pipe:
            os.close(end)

    @property
    def hurried(self) -> bool:
        """True after a second stop signal."""
        return self.stops > 1

    def wait(self, seconds: float | None) -> None:
        """Wait for a signal, for at most `seconds`; None waits without limit."""
        for reader, _ in self._arrivals.poll(None if seconds is None else seconds * 1000):
            os.read(reader, UNREAD)

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

    def _on_child(self, _number: int, _frame: FrameType | None) -> None:
        """Do nothing. Python writes to the pipe only for signals that have a handler."""
