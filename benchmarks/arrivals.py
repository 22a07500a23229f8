"""Wait for mails at the sink."""

from __future__ import annotations

import sys
import time

from benchmarks import load
from benchmarks.processes import OverdueError, wait_until
from benchmarks.system import System

STALLED = 30  # seconds without a mail after which missing mails are considered lost


def wait_for_first(system: System) -> None:
    """POST a notification and wait for its mail, so that the workers are known to run."""
    system.mailbox.reset()
    load.exactly(system.url, 1, 1, "first-")
    wait_until(lambda: system.mailbox.count().mails > 0, f"the first mail of {system.name}")
    time.sleep(1)  # Let the work that follows a start finish, so that the system is idle.


def wait_for_recipients(system: System, recipients: int, seconds: float = 10) -> None:
    """Wait until `recipients` have mail, at most `seconds`. Missing mails are reported here and counted later."""
    try:
        wait_until(lambda: system.mailbox.count().recipients >= recipients, f"{recipients} mails", seconds)
    except OverdueError as missing:
        print(f"# {system.name}: {missing}", file=sys.stderr, flush=True)


def wait_for_drain(system: System, backlog: int) -> None:
    """Wait until `backlog` recipients have mail, or no mail has arrived for STALLED seconds."""
    seen, moved = 0, time.monotonic()
    while seen < backlog and time.monotonic() - moved < STALLED:
        time.sleep(0.02)
        count = system.mailbox.count().recipients
        if count != seen:
            seen, moved = count, time.monotonic()
