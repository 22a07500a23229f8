"""The database's clock, as far as this process knows it.

The clocks of two machines differ. Due times and ages are compared on the database's clock only.
"""

from __future__ import annotations

import time


class DatabaseClock:
    """Estimate of the database's time: this machine's time, plus the difference at the last `set`."""

    def __init__(self) -> None:
        self._offset = 0.0  # seconds that the database's clock is ahead of this machine's

    def set(self, now: float) -> None:
        """Record that the database's clock shows `now`, in seconds since 1970."""
        self._offset = now - time.time()

    def now(self) -> float:
        """Return the database's time in seconds since 1970; this machine's time before the first `set`."""
        return time.time() + self._offset


clock = DatabaseClock()
