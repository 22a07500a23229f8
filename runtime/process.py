"""What every process of ours does that serves: die with its parent, stop once, and look for garbage seldom."""

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
PARENT_EVERY = 1.0  # seconds, where the kernel does not tell that the parent is gone
GARBAGE = 10_000  # objects, of some 2 MB together: when there are so many new ones, garbage is looked for


def die_with_parent(parent: int, with_signal: int = signal.SIGKILL) -> None:
    """Send `with_signal` to this process once its parent (pid `parent`) is gone.

    A parent that was killed can no longer stop its children in order, and an orphan would go on consuming.
    Call it from the child, with the pid that the parent gave: one that the child reads itself may already be
    that of the process that takes in orphans. On Linux the kernel sends the signal (prctl(2)); elsewhere
    a thread looks every second.
    """
    if sys.platform.startswith("linux"):
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, int(with_signal), 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    else:
        threading.Thread(target=_watch, args=(parent, with_signal), name="parent", daemon=True).start()
    if os.getppid() != parent:  # It died before we asked.
        os.kill(os.getpid(), with_signal)


def die_with_master() -> int | None:
    """Do the same for a child of `multiprocessing`, such as a worker of Dramatiq, and return its master's pid.

    Return None where this process is no such child.
    """
    master = multiprocessing.parent_process()
    if master is None or master.pid is None:
        return None
    # The parent of such a child is the server that forks for the master; it ends when the master does.
    forked_by_another = multiprocessing.get_start_method() == "forkserver"
    die_with_parent(os.getppid() if forked_by_another else master.pid)
    if not master.is_alive():
        os.kill(os.getpid(), signal.SIGKILL)
    return master.pid


def stop_once() -> None:
    """Make all stop signals after the first one do nothing; SIGQUIT and SIGKILL still end the process at once.

    Dramatiq's master passes SIGTERM on to its workers. A supervisor that signals the whole process group makes
    them receive it twice, and Dramatiq takes the second one for an order to drop all work. Call it from
    the main thread, after the handlers of SIGTERM and SIGHUP have been set.
    """
    stopping = False

    def once(handler: Callable[[int, FrameType | None], object]) -> Callable[[int, FrameType | None], None]:
        def handle(number: int, frame: FrameType | None) -> None:
            nonlocal stopping
            if not stopping:
                stopping = True
                # The handler may have been called before it was wrapped, and takes this for the second signal.
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
    """Once all is loaded: requests and mails leave hardly a cycle behind, and what was loaded stays.

    To look after every 700 objects, as Python does by itself, takes a tenth of the API's CPU.
    """
    gc.freeze()
    gc.set_threshold(GARBAGE, 10, 10)
