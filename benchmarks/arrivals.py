"""Waiting for mail at the sink."""

from __future__ import annotations

import sys
import time

from benchmarks import load
from benchmarks.processes import OverdueError, wait_until
from benchmarks.system import System

STALLED = 30  # seconds without a mail: what is missing will not come


def wait_for_first(system: System) -> None:
    """POST one and wait for it, so that workers are at work."""
    system.mailbox.reset()
    load.exactly(system.url, 1, 1, "first-")
    wait_until(lambda: system.mailbox.count().mails > 0, f"the first mail of {system.name}")
    time.sleep(1)  # Idle means idle: what a start leaves behind is done by then.


def wait_for_recipients(system: System, recipients: int, seconds: float = 10) -> None:
    """Until so many have got mail; says so where they have not, and goes on: it will be counted."""
    try:
        wait_until(lambda: system.mailbox.count().recipients >= recipients, f"{recipients} mails", seconds)
    except OverdueError as missing:
        print(f"# {system.name}: {missing}", file=sys.stderr, flush=True)


def wait_for_drain(system: System, backlog: int) -> None:
    """Until so many recipients have got mail, or nobody gets any for STALLED."""
    seen, moved = 0, time.monotonic()
    while seen < backlog and time.monotonic() - moved < STALLED:
        time.sleep(0.02)
        count = system.mailbox.count().recipients
        if count != seen:
            seen, moved = count, time.monotonic()
