"""Process groups: the processes that a program has started and left behind."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

POLL = 0.005  # seconds
TIMEOUT = 2.0  # seconds


def kill(group: int) -> None:
    """Send SIGKILL to a process group and wait until none of its processes lives, for at most TIMEOUT.

    Call it right after the leading child was reaped: later another group may have the same number.
    """
    deadline = time.monotonic() + TIMEOUT
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
        while _lives(group) and time.monotonic() < deadline:
            time.sleep(POLL)
            os.killpg(group, signal.SIGKILL)


def _lives(group: int) -> bool:
    """Return whether a member lives. A zombie does not: it may wait long until its new parent reaps it.

    Without /proc every zombie counts as alive.
    """
    stats = list(Path("/proc").glob("[0-9]*/stat"))
    return not stats or any(_is_live_member(stat, group) for stat in stats)


def _is_live_member(stat: Path, group: int) -> bool:
    try:
        state, _parent, its_group = stat.read_text(errors="replace").rpartition(")")[2].split()[:3]
    except (OSError, ValueError):
        return False
    return int(its_group) == group and state not in "ZX"
