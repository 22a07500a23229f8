"""One process migrates a schema at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from db.database import database
from db.exclusive import exclusive
from runtime import logs

# Any constant will do, as long as every version of this project uses the same.
LOCK = 7_021_969
POLL = 0.1  # seconds
log = logs.get("migrate")


@contextmanager
def alone() -> Iterator[None]:
    """Hold the advisory lock; within `connection()`, which is closed at the end, and the lock with it."""
    waiting = False
    # Asked for again and again: a statement that waits in PostgreSQL has a snapshot, and CREATE INDEX CONCURRENTLY
    # waits for all who have one.
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
