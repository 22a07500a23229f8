"""Child processes and what they cost: CPU time and memory of a whole tree, read from /proc (Linux)."""

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
    """What was waited for did not come in time."""


class Part(Program):
    """Any command as a child that is stopped in order, with all that it started."""

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
        """The words, the first one found on PATH."""
        found = shutil.which(self.words[0], path=self.environ.get("PATH"))
        return [found or self.words[0], *self.words[1:]]

    def environment(self) -> Mapping[str, str]:
        """As told."""
        return self.environ

    def directory(self) -> Path:
        """As told."""
        return self.folder

    def ready(self) -> bool:
        """As told."""
        return self.is_ready()


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
    """Poll until `condition` holds; OverdueError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise OverdueError(f"{what}: not within {seconds:g} s")
        time.sleep(0.02)


def tree(root: int) -> list[int]:
    """A process and its descendants; a session or group would miss PostgreSQL's, which open their own."""
    children = defaultdict(list)
    for entry in PROC.iterdir():
        if entry.name.isdecimal() and (stat := _stat(int(entry.name))):
            children[int(stat[1])].append(int(entry.name))
    found = [root]
    for pid in found:
        found.extend(children[pid])
    return found


def cpu_seconds(root: int) -> float:
    """User and system time of a tree, with the children it has already waited for."""
    stats = filter(None, map(_stat, tree(root)))
    return sum(sum(map(int, stat[11:15])) for stat in stats) / TICKS


def busy_seconds() -> float:
    """CPU time spent on this machine by anybody; proc(5): user nice system idle iowait irq softirq."""
    user, nice, system, _, _, irq, softirq = (PROC / "stat").read_text().split()[1:8]
    return sum(map(int, (user, nice, system, irq, softirq))) / TICKS


def memory_mb(root: int) -> list[float]:
    """PSS in MB (shared pages counted once, in shares) of each process of a tree, the root first."""
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
