"""Leftovers of a server that was not stopped: an orphaned process, or a stale pidfile."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from cli.servers.program import POLL, StopRequests

GRACE = 20.0  # seconds from SIGINT to SIGKILL


def pid_in(pidfile: Path) -> int | None:
    """Return the process id on the first line of a file, or None."""
    with suppress(OSError, ValueError, IndexError):
        return int(pidfile.read_text(errors="replace").splitlines()[0])
    return None


def clear(pidfile: Path, directory: Path, stop_requests: StopRequests) -> None:
    """End an orphaned server that still works on `directory`; remove a pidfile that names an unrelated process.

    The caller must hold the lock of the data directory, so that no other server may run there. A pidfile whose
    process is gone stays: PostgreSQL reads in it whether old backends still use its shared memory.
    """
    pid = pid_in(pidfile)
    if pid is None or not _exists(pid):
        return
    if _works_in(pid, directory):
        _end(pid, directory, stop_requests)
    else:
        pidfile.unlink(missing_ok=True)


def _end(pid: int, directory: Path, stop_requests: StopRequests) -> None:
    started = time.monotonic()
    os.kill(pid, signal.SIGINT)
    while _exists(pid) and _works_in(pid, directory):
        if time.monotonic() - started > GRACE:
            os.kill(pid, signal.SIGKILL)
        stop_requests.pause(POLL)


def _exists(pid: int) -> bool:
    if pid <= 1:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _works_in(pid: int, directory: Path) -> bool:
    """Return whether a process serves `directory`: both servers change into it. Without /proc, ask ps."""
    if Path("/proc/self").exists():
        with suppress(OSError):
            return Path(f"/proc/{pid}/cwd").samefile(directory)
        return False
    said = subprocess.run(  # noqa: S603  # words of our own
        ["/bin/ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return str(directory) in said.stdout
