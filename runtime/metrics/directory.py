"""Directory in which the processes of one command keep their metrics, and locks in it."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = "notify-metrics-"
POLL = 0.01  # seconds between two attempts to take the lock


def own(master: int) -> Path:
    """Create the directory of one command and return it. Its name contains the master's pid and start time.

    Raises:
        OSError: It cannot be created, or exists and belongs to another user.
    """
    root = Path(tempfile.gettempdir())
    for other in root.glob(f"{PREFIX}*"):
        _remove_if_left(other)
    path = root / f"{PREFIX}{os.geteuid()}-{master}-{_started(master)}"
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise PermissionError(f"{path} belongs to another user")
    return path


@contextmanager
def locked(directory: Path, name: str = "lock", within: float | None = None) -> Iterator[None]:
    """Hold the exclusive lock `name` of a directory. The kernel releases it when the process ends.

    Raises:
        TimeoutError: Another process has held it for `within` seconds.
        OSError: The directory is gone, or cannot be used.
    """
    handle = os.open(directory / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if within is None:
            fcntl.flock(handle, fcntl.LOCK_EX)
        else:
            deadline = time.monotonic() + within
            while not try_lock(handle):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"another process has held {directory / name} for {within:g} s")
                time.sleep(POLL)
        yield
    finally:
        os.close(handle)


def try_lock(handle: int) -> bool:
    """Try to lock a file through its handle. Return whether the handle has the lock now."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove_if_left(path: Path) -> None:
    """Remove a command's directory whose master has ended."""
    try:
        user, master, started = path.name.removeprefix(PREFIX).split("-")
        if int(user) != os.geteuid() or path.lstat().st_uid != os.geteuid() or _started(int(master)) == started:
            return
        shutil.rmtree(path)
    except (OSError, ValueError):  # Another process has removed it, or the name is not one of ours.
        return


def _started(process: int) -> str:
    """Return the start time of a process in the kernel's clock ticks; "0" if it is unknown."""
    try:
        # Field 22 (proc_pid_stat(5)), counted from the end of the name, which may contain spaces and parentheses.
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return "0"
