"""How long something learned about a mail server is kept before it is tried again."""

from __future__ import annotations

from math import inf

# The first time, and at most.
KEPT, KEPT_AT_MOST = 60.0, 600.0  # seconds


class Backoff:
    """The time for which a learned limit is kept; it doubles each time the limit is confirmed."""

    def __init__(self, longest: float) -> None:
        self._longest, self._seconds, self._until = longest, 0.0, -inf

    def holds(self, now: float) -> bool:
        return now < self._until

    def confirm(self, now: float) -> None:
        """Keep the limit twice as long as the last time."""
        again = self._seconds and not self.is_old(now)
        self._seconds = min(self._longest, 2 * self._seconds) if again else KEPT
        self._until = now + self._seconds

    def restart(self, now: float) -> None:
        """Keep another limit, for as long as a new one is kept."""
        self._seconds, self._until = KEPT, now + KEPT

    def hasten(self, now: float) -> None:
        """Try the limit no later than a new one."""
        self._until = min(self._until, now + KEPT)

    def shorten(self) -> None:
        """Keep the limit for half as long the next time."""
        self._seconds = max(KEPT, self._seconds / 2)

    def end(self) -> None:
        self._seconds, self._until = 0.0, -inf

    def is_old(self, now: float) -> bool:
        """Return whether it ended so long ago that it says nothing any more."""
        return now >= self._until + self._longest
