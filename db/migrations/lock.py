"""The lock by which only one process migrates a schema at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from db.database import database
from db.exclusive import exclusive
from runtime import logs

# Any constant will do, but every version of this project must use the same one.
LOCK = 7_021_969
POLL = 0.1  # seconds
log = logs.get("migrate")


@contextmanager
def alone() -> Iterator[None]:
    """Hold the advisory lock. Call within `connection()`; the connection is closed at the end, which frees the lock."""
    waiting = False
    # Polled, because a statement that waits in PostgreSQL has a snapshot, and CREATE INDEX CONCURRENTLY waits for all
    # snapshots.
    while True:
        with exclusive(LOCK) as mine:
            if mine:
                try:
                    yield
                finally:
                    database.close()
                return
        if not waiting:
            log.info("migration.waits", reason="another process is migrating")
        waiting = True
        time.sleep(POLL)
