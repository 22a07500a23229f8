"""Ctrl-C, SIGTERM and the death of a child, as something the main thread can wait for."""

from __future__ import annotations

import os
import select
import signal
import time
from types import FrameType, TracebackType
from typing import Any, Self

from cli.servers.program import Patience

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Seconds in which several signals are one wish to stop: a terminal or a supervisor signals the whole process group,
# and a parent in that group passes the signal on, which takes it a while on a busy machine.
SAME_WISH = 2.0
UNREAD = 4096  # bytes, one for each signal that has come since the last wait


class Interrupted(Exception):
    """Somebody wants us to stop before we have started."""


class Signals(Patience):
    """While entered, a stop signal is counted instead of obeyed on the spot, and a pause ends early.

    No polling: an idle supervisor costs nothing. The kernel may give a signal to another thread, such as that of the
    mail catcher, and Python runs the handler only once the main thread runs again. So the main thread waits for the
    byte that Python writes to a pipe as soon as a signal arrives in any thread (`signal.set_wakeup_fd`).
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
        os.set_blocking(writer, False)  # set_wakeup_fd demands it
        self._arrivals.register(reader, select.POLLIN)
        self._wakeup_before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        # nohup's wish is kept.
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
        """Whether we were told to stop more than once."""
        return self.stops > 1

    def wait(self, seconds: float | None) -> None:
        """Return when a signal has come, or after `seconds`; None is for ever."""
        for reader, _ in self._arrivals.poll(None if seconds is None else seconds * 1000):
            os.read(reader, UNREAD)

    def pause(self, seconds: float) -> None:
        """Let time pass; raises Interrupted, once, when we shall stop and do not know it yet."""
        self.wait(seconds)
        if self.stops and not self.stopping:
            self.stopping = True
            raise Interrupted

    def _on_stop(self, _number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.stops == 0 or now - self._last > SAME_WISH:
            self.stops += 1
            self._last = now

    def _on_child(self, _number: int, _frame: FrameType | None) -> None:
        """Do nothing. Python writes to the pipe only for signals that have a handler."""
