"""Sample the wait events of PostgreSQL's sessions during a measurement: pg_stat_activity, ten times per second."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import closing
from typing import Self

import psycopg2

from benchmarks.figures import Figures

EVERY = 0.1  # seconds
# Wait events of active sessions, except waiting for the client.
WAITING = """
SELECT DISTINCT wait_event_type || ':' || wait_event FROM pg_stat_activity
WHERE state = 'active' AND datname = %s AND wait_event IS NOT NULL AND wait_event_type <> 'Client'
"""


class Waits:
    """Context manager that counts in how many samples a session waited for each event."""

    def __init__(self, url: str, database: str) -> None:
        self._url, self._database = url, database
        self._seen: Counter[str] = Counter()
        self._samples = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def shares(self) -> Figures:
        """Return the percentage of the samples, by event."""
        return {f"waits {event}": 100 * seen / max(self._samples, 1) for event, seen in self._seen.items()}

    def _sample(self) -> None:
        with closing(psycopg2.connect(self._url)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                while not self._over.wait(EVERY):
                    cursor.execute(WAITING, (self._database,))
                    self._seen.update(event for (event,) in cursor.fetchall())
                    self._samples += 1
