"""Learn the limits of a mail server from its answers.

There are three limits: how many connections the server accepts, how fast it takes mails, and how many mails it takes
over one connection. Each limit is tested again after a time, which grows while the limit is still there. A limit that
stays therefore costs few refusals, and one that is gone is forgotten. Nothing here does I/O; `now` is in seconds of
`time.monotonic()`.
"""

from __future__ import annotations

from math import inf

from actors.channels.backoff import KEPT_AT_MOST, Backoff
from actors.channels.speed import Speed

MESSAGES_KEPT_AT_MOST = 3_600.0  # seconds
# Seconds before the next try if no connection works: the first time, and at most.
RECONNECT, RECONNECT_AT_MOST = 1.0, 5.0


class Capacity:
    """Current limits of a mail server for one process. `most` is the number of connections that we allow."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._connections, self._speed, self._messages = ConnectionLimit(), Speed(), MessageLimit()

    def limit(self, now: float) -> int:
        """Return how many connections may be open. Those above it must be closed after their current mail."""
        allowed = min(self._connections.limit(now), self._speed.connections(now))
        return min(self.most, max(1, int(min(self.most, allowed))))

    def reconnect(self, now: float) -> float:
        """Return the seconds before the next connection may be tried; 0 if one works."""
        return self._connections.reconnect(now)

    def opened(self, working: int, now: float) -> None:
        """Note a new connection; `working` connections work now."""
        self._connections.opened(working)

    def refused(self, working: int, now: float) -> None:
        """Note a refused connection while `working` others worked."""
        self._connections.refused(working, now)

    def pause(self, now: float) -> float:
        """Return the seconds before the next mail may begin; call `began` when it does."""
        return self._speed.pause(now)

    def began(self, now: float) -> None:
        """Note that a mail begins."""
        self._speed.began(now)

    def throttled(self, working: int, begun: float, now: float) -> None:
        """Note that the server refused a mail of `begun` because of our rate; `working` connections worked."""
        self._speed.throttled(working, begun, now)

    def took(self, now: float) -> None:
        """Note that the server took a mail."""
        self._speed.took(self.most, now)

    def messages(self, now: float) -> int | None:
        """Return how many mails a connection may carry, or None if no limit is known."""
        return self._messages.limit(now)

    def spent(self, mails: int, now: float) -> None:
        """Note that a connection refused a mail after `mails` mails, and that a new connection took it."""
        self._messages.spent(mails, now)


class ConnectionLimit:
    """Number of connections that the server accepts."""

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
            # The server may not have noticed yet that an earlier connection is closed.
            self._backoff.hasten(now)
        self._admitted = working

    def _refused_all(self, now: float) -> None:
        """Note a refusal while none works. That teaches no limit: the server is down or others use it up."""
        self._backoff.end()
        if now >= self._next_at:
            self._wait = min(RECONNECT_AT_MOST, max(RECONNECT, 2 * self._wait))
            self._next_at = now + self._wait


class MessageLimit:
    """Number of mails that the server takes over one connection."""

    def __init__(self) -> None:
        self._most = 0
        self._backoff = Backoff(MESSAGES_KEPT_AT_MOST)

    def limit(self, now: float) -> int | None:
        return self._most if self._backoff.holds(now) else None

    def spent(self, mails: int, now: float) -> None:
        if mails < 1:  # If a new connection refuses a mail, there is another reason.
            return
        if self._backoff.holds(now):
            mails = min(self._most, mails)
        elif abs(mails - self._most) <= max(2, self._most // 4):
            self._backoff.confirm(now)
        else:
            self._backoff.restart(now)
        self._most = mails
