"""The directory in which the processes of one command keep their numbers, and the lock on it."""

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
    """Make the directory of one command and return it. Its name holds the pid of the master and when that started.

    Raises:
        OSError: it cannot be made, or the one that is there belongs to another user.
    """
    root = Path(tempfile.gettempdir())
    for other in root.glob(f"{PREFIX}*"):
        _remove_if_left(other)
    path = root / f"{PREFIX}{os.geteuid()}-{master}-{_started(master)}"
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise PermissionError(f"{path} belongs to somebody else")
    return path


@contextmanager
def locked(directory: Path, name: str = "lock", within: float | None = None) -> Iterator[None]:
    """Hold the lock `name` of this directory, which one process at a time can have; it ends with the process.

    Raises:
        TimeoutError: another process has held it for `within` seconds.
        OSError: the directory is gone or may not be used.
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
    """Return whether nobody else had the lock of this file; now this handle has it."""
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
    except (OSError, ValueError):  # Another process was faster, or the name is not one of ours.
        return


def _started(process: int) -> str:
    """Return when a process was started, in the kernel's ticks; "0" where that cannot be known."""
    try:
        # After the name, which may hold anything: proc_pid_stat(5), field 22.
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return "0"
