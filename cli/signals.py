"""Ctrl-C, SIGTERM and the death of a child, as something the main thread can wait for."""

from __future__ import annotations

import signal
import time
from queue import Empty, SimpleQueue
from types import FrameType, TracebackType
from typing import Any, Self

from cli.servers.program import Patience

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Seconds in which several signals are one wish to stop: a terminal or a supervisor signals the whole process group,
# and a parent in that group passes the signal on, which takes it a while on a busy machine.
SAME_WISH = 2.0


class Interrupted(Exception):
    """Somebody wants us to stop before we have started."""


class Signals(Patience):
    """While entered, a stop signal is counted instead of obeyed on the spot, and a pause ends early.

    No polling: an idle supervisor costs nothing.
    """

    def __init__(self) -> None:
        self.stops = 0
        self.stopping = False
        self._last = 0.0
        # Its put() may interrupt its get() in the same thread, which is what a handler does.
        self._arrived: SimpleQueue[None] = SimpleQueue()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        # nohup's wish is kept.
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
        """Whether we were told to stop more than once."""
        return self.stops > 1

    def wait(self, seconds: float | None) -> None:
        """Return when a signal has come, or after `seconds`; None is for ever."""
        try:
            self._arrived.get(timeout=seconds)
        except Empty:
            return

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
        self._arrived.put(None)

    def _on_child(self, _number: int, _frame: FrameType | None) -> None:
        self._arrived.put(None)
