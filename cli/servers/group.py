"""Process groups: what a program started and left behind."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

POLL = 0.005  # seconds
PATIENCE = 2.0


def kill(group: int) -> None:
    """SIGKILL all of a process group and return when none of it lives.

    Only for the group of a child that has just been reaped: later its number may be another's.
    """
    deadline = time.monotonic() + PATIENCE
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
        while _lives(group) and time.monotonic() < deadline:
            time.sleep(POLL)
            os.killpg(group, signal.SIGKILL)


def _lives(group: int) -> bool:
    """Whether a member is more than a zombie, which may wait long for whoever adopted it.

    Where there is no /proc, a zombie cannot be told from a process.
    """
    stats = list(Path("/proc").glob("[0-9]*/stat"))
    return not stats or any(_is_live_member(stat, group) for stat in stats)


def _is_live_member(stat: Path, group: int) -> bool:
    try:
        state, _parent, its_group = stat.read_text(errors="replace").rpartition(")")[2].split()[:3]
    except (OSError, ValueError):
        return False
    return int(its_group) == group and state not in "ZX"
