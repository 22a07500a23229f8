"""Child processes, and the CPU time and memory of a process tree, read from /proc (Linux)."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from cli.servers.program import Program

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")


class OverdueError(Exception):
    """A condition did not become true in time."""


class Part(Program):
    """Command that runs as a child process and is stopped in order, with its descendants."""

    on_death = signal.SIGTERM
    grace = 20.0

    def __init__(
        self,
        words: Sequence[str],
        environ: Mapping[str, str],
        folder: Path,
        log: Path,
        is_ready: Callable[[], bool] = lambda: True,
    ) -> None:
        super().__init__(log=log)
        self.words, self.environ, self.folder, self.is_ready = words, environ, folder, is_ready
        self.name = words[0]

    def command(self) -> list[str]:
        """Return the command, with its program looked up in PATH."""
        found = shutil.which(self.words[0], path=self.environ.get("PATH"))
        return [found or self.words[0], *self.words[1:]]

    def environment(self) -> Mapping[str, str]:
        """Return the environment."""
        return self.environ

    def directory(self) -> Path:
        """Return the working directory."""
        return self.folder

    def ready(self) -> bool:
        """Return whether the process is ready."""
        return self.is_ready()


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
    """Poll until `condition` is true. Raise OverdueError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise OverdueError(f"{what}: not within {seconds:g} s")
        time.sleep(0.02)


def tree(root: int) -> list[int]:
    """Return a process and its descendants. A process group would not include PostgreSQL's children."""
    children = defaultdict(list)
    for entry in PROC.iterdir():
        if entry.name.isdecimal() and (stat := _stat(int(entry.name))):
            children[int(stat[1])].append(int(entry.name))
    found = [root]
    for pid in found:
        found.extend(children[pid])
    return found


def cpu_seconds(root: int) -> float:
    """Return the user and system time of a tree, including children that have ended."""
    stats = filter(None, map(_stat, tree(root)))
    return sum(sum(map(int, stat[11:15])) for stat in stats) / TICKS


def busy_seconds() -> float:
    """Return the CPU time used on this machine by all programs (proc(5): user nice system idle iowait irq softirq)."""
    user, nice, system, _, _, irq, softirq = (PROC / "stat").read_text().split()[1:8]
    return sum(map(int, (user, nice, system, irq, softirq))) / TICKS


def memory_mb(root: int) -> list[float]:
    """Return the PSS in MB of each process of a tree, the root first. PSS divides shared pages among their users."""
    return [size / 1_000 for pid in tree(root) if (size := _pss_kb(pid))]


def _stat(pid: int) -> list[str] | None:
    # The fields after the name, proc(5): 0 state, 1 ppid, 11-14 utime stime cutime cstime.
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def _pss_kb(pid: int) -> int:
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
