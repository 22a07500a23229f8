"""Behaviour of every server process: die with its parent, stop only once, and collect garbage rarely."""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

PR_SET_PDEATHSIG = 1  # linux/prctl.h
PARENT_EVERY = 1.0  # seconds between checks of the parent, where the kernel sends no signal
GARBAGE = 10_000  # new objects (about 2 MB) after which the garbage collector runs


def die_with_parent(parent: int, with_signal: int = signal.SIGKILL) -> None:
    """Send `with_signal` to this process when its parent (pid `parent`) ends.

    A parent that was killed cannot stop its children, and an orphan would keep consuming. Call it in the child, with
    the pid that the parent has passed on: os.getppid() may already return the process that adopts orphans. On Linux the
    kernel sends the signal (prctl(2)); elsewhere a thread checks every second.
    """
    if sys.platform.startswith("linux"):
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, int(with_signal), 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    else:
        threading.Thread(target=_watch, args=(parent, with_signal), name="parent", daemon=True).start()
    if os.getppid() != parent:  # The parent ended before the call.
        os.kill(os.getpid(), with_signal)


def die_with_master() -> int | None:
    """End this child of `multiprocessing`, for example a Dramatiq worker, with its master. Return the master's pid.

    Return None if this process is not such a child.
    """
    master = multiprocessing.parent_process()
    if master is None or master.pid is None:
        return None
    # With the start method forkserver, the parent is the fork server, which ends with the master.
    forked_by_another = multiprocessing.get_start_method() == "forkserver"
    die_with_parent(os.getppid() if forked_by_another else master.pid)
    if not master.is_alive():
        os.kill(os.getpid(), signal.SIGKILL)
    return master.pid


def stop_once() -> None:
    """Ignore all stop signals after the first one; SIGQUIT and SIGKILL still end the process at once.

    Dramatiq's master passes SIGTERM on to its workers. If a supervisor signals the whole process group, they receive it
    twice, and Dramatiq drops all work at the second signal. Call it in the main thread, after the handlers of SIGTERM
    and SIGHUP are set.
    """
    stopping = False

    def once(handler: Callable[[int, FrameType | None], object]) -> Callable[[int, FrameType | None], None]:
        def handle(number: int, frame: FrameType | None) -> None:
            nonlocal stopping
            if not stopping:
                stopping = True
                # If the handler was called before it was wrapped, it treats this as the second signal.
                with suppress(SystemExit):
                    handler(number, frame)

        return handle

    for number in (signal.SIGTERM, signal.SIGHUP):
        handler = signal.getsignal(number)
        if callable(handler):
            signal.signal(number, once(handler))


def _watch(parent: int, with_signal: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_EVERY)
    os.kill(os.getpid(), with_signal)


def collect_seldom() -> None:
    """Exclude all loaded objects from garbage collection, and run it rarely. Call it after all imports.

    Requests and mails leave hardly any reference cycles. Python's default of 700 new objects takes a tenth of the API's
    CPU time.
    """
    gc.freeze()
    gc.set_threshold(GARBAGE, 10, 10)
