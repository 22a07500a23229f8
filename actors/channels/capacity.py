"""How much one process may ask of a mail server, learned from what the server answers.

Three limits are learned: how many connections the server admits, how fast it takes mails, and how many mails it takes
over one connection. Each is tried again after a time that grows while the limit turns out to be still there, so a
limit that stays costs few refusals, and one that goes is forgotten. Nothing here does I/O; `now` is monotonic seconds.
"""

from __future__ import annotations

from math import inf

from actors.channels.backoff import KEPT_AT_MOST, Backoff
from actors.channels.speed import Speed

MESSAGES_KEPT_AT_MOST = 3_600.0  # seconds
# How long to wait before the next connection where none works: the first time, and at most.
RECONNECT, RECONNECT_AT_MOST = 1.0, 30.0


class Capacity:
    """What one process may use of a mail server at the moment. `most`: connections, whatever the server admits."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._connections, self._speed, self._messages = ConnectionLimit(), Speed(), MessageLimit()

    def limit(self, now: float) -> int:
        """Return how many connections may be open; those above it are to be closed after their mails."""
        allowed = min(self._connections.limit(now), self._speed.connections(now))
        return min(self.most, max(1, int(min(self.most, allowed))))

    def reconnect(self, now: float) -> float:
        """Return the seconds before the next connection may be tried; 0 unless none works."""
        return self._connections.reconnect(now)

    def opened(self, working: int, now: float) -> None:
        """A new connection is ready; now `working` connections work."""
        self._connections.opened(working)

    def refused(self, working: int, now: float) -> None:
        """A new connection was refused while `working` others worked."""
        self._connections.refused(working, now)

    def pause(self, now: float) -> float:
        """Return the seconds before the next mail may begin; call `began` when it does."""
        return self._speed.pause(now)

    def began(self, now: float) -> None:
        """A mail begins."""
        self._speed.began(now)

    def throttled(self, working: int, begun: float, now: float) -> None:
        """The server said "not now" to a mail that began at `begun`, while `working` connections worked."""
        self._speed.throttled(working, begun, now)

    def took(self, now: float) -> None:
        """The server took a mail."""
        self._speed.took(self.most, now)

    def messages(self, now: float) -> int | None:
        """Return how many mails one connection may carry, or None where no limit is known."""
        return self._messages.limit(now)

    def spent(self, mails: int, now: float) -> None:
        """A connection that had carried `mails` refused one that a new connection then took."""
        self._messages.spent(mails, now)


class ConnectionLimit:
    """How many connections the server admits."""

    def __init__(self) -> None:
        self._admitted = inf
        self._backoff = Backoff(KEPT_AT_MOST)
        self._wait, self._next_at = 0.0, -inf

    def limit(self, now: float) -> float:
        return self._admitted if self._backoff.holds(now) else self._admitted + 1

    def reconnect(self, now: float) -> float:
        return max(0.0, self._next_at - now)

    def opened(self, working: int) -> None:
        self._wait, self._next_at = 0.0, -inf
        if working > self._admitted:
            self._admitted = working
            self._backoff.shorten()

    def refused(self, working: int, now: float) -> None:
        if working == 0:
            self._refused_all(now)
        elif not self._backoff.holds(now):
            self._backoff.confirm(now)
        elif working < self._admitted:
            # The server may not yet have noticed that an earlier connection was closed.
            self._backoff.hasten(now)
        self._admitted = working

    def _refused_all(self, now: float) -> None:
        """The server is down, or others have all its connections: that says nothing about how many it admits."""
        self._backoff.end()
        if now >= self._next_at:
            self._wait = min(RECONNECT_AT_MOST, max(RECONNECT, 2 * self._wait))
            self._next_at = now + self._wait


class MessageLimit:
    """How many mails the server takes over one connection."""

    def __init__(self) -> None:
        self._most = 0
        self._backoff = Backoff(MESSAGES_KEPT_AT_MOST)

    def limit(self, now: float) -> int | None:
        return self._most if self._backoff.holds(now) else None

    def spent(self, mails: int, now: float) -> None:
        if mails < 1:  # A new connection's refusal has another reason.
            return
        if self._backoff.holds(now):
            mails = min(self._most, mails)
        elif abs(mails - self._most) <= max(2, self._most // 4):
            self._backoff.confirm(now)
        else:
            self._backoff.restart(now)
        self._most = mails
