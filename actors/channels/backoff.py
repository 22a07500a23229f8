"""Doubling time for which a limit learned from a mail server is kept before the server is tried again."""

from __future__ import annotations

from math import inf

KEPT, KEPT_AT_MOST = 60.0, 600.0  # seconds: the first time, and at most


class Backoff:
    """Time for which a learned limit is kept. It doubles each time the limit is confirmed."""

    def __init__(self, longest: float) -> None:
        self._longest, self._seconds, self._until = longest, 0.0, -inf

    def holds(self, now: float) -> bool:
        return now < self._until

    def confirm(self, now: float) -> None:
        """Keep the limit for twice as long as the last time."""
        again = self._seconds and not self.is_old(now)
        self._seconds = min(self._longest, 2 * self._seconds) if again else KEPT
        self._until = now + self._seconds

    def restart(self, now: float) -> None:
        """Keep a new limit for KEPT seconds."""
        self._seconds, self._until = KEPT, now + KEPT

    def hasten(self, now: float) -> None:
        """End the limit at most KEPT seconds from now."""
        self._until = min(self._until, now + KEPT)

    def shorten(self) -> None:
        """Keep the limit for half as long the next time."""
        self._seconds = max(KEPT, self._seconds / 2)

    def end(self) -> None:
        self._seconds, self._until = 0.0, -inf

    def is_old(self, now: float) -> bool:
        """Return whether the limit ended so long ago that it no longer counts as confirmed."""
        return now >= self._until + self._longest
