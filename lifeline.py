"""What every process of ours does that serves: die with its parent, and look for garbage seldom."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h
GARBAGE = 10_000  # objects, of some 2 MB together: when there are so many new ones, garbage is looked for


def die_with_parent(parent: int, with_signal: int = signal.SIGKILL) -> None:
    """Have the kernel send `with_signal` to this process when its parent (pid `parent`) is gone.

    A parent that was killed can no longer stop us in order, and an orphan would go on consuming.
    Call it from the child. Linux only (prctl(2)); elsewhere it does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, int(with_signal), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:  # It died before we asked.
        os.kill(os.getpid(), with_signal)


def collect_seldom() -> None:
    """Once all is loaded: requests and mails leave hardly a cycle behind, and what was loaded stays.

    To look after every 700 objects, as Python does by itself, takes a tenth of the API's CPU.
    """
    gc.freeze()
    gc.set_threshold(GARBAGE, 10, 10)
