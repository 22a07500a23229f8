"""What a server that was not stopped left behind: a process, or a file that names one."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from cli.servers.program import POLL, Patience

LAST_WORD = 20.0


def pid_in(pidfile: Path) -> int | None:
    """The process id on a file's first line, or None."""
    with suppress(OSError, ValueError, IndexError):
        return int(pidfile.read_text(errors="replace").splitlines()[0])
    return None


def clear(pidfile: Path, directory: Path, patience: Patience) -> None:
    """End the orphan that still works on `directory`; remove a pidfile that names a stranger.

    Only for the owner of the data root's lock: nobody else may run a server there. A file that names
    no process stays, since PostgreSQL learns from it whether old backends still hold its memory.
    """
    pid = pid_in(pidfile)
    if pid is None or not _exists(pid):
        return
    if _works_in(pid, directory):
        _end(pid, directory, patience)
    else:
        pidfile.unlink(missing_ok=True)


def _end(pid: int, directory: Path, patience: Patience) -> None:
    started = time.monotonic()
    os.kill(pid, signal.SIGINT)
    while _exists(pid) and _works_in(pid, directory):
        if time.monotonic() - started > LAST_WORD:
            os.kill(pid, signal.SIGKILL)
        patience.pause(POLL)


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
    """Both servers change into their data directory; where /proc is not, the command line tells."""
    if Path("/proc/self").exists():
        with suppress(OSError):
            return Path(f"/proc/{pid}/cwd").samefile(directory)
        return False
    said = subprocess.run(  # noqa: S603  # words of our own
        ["/bin/ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return str(directory) in said.stdout
