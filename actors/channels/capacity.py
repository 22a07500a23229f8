"""How much one process may ask of a mail server, learned from what the server answers.

Three limits are learned: how many connections the server admits, how fast it takes mails, and how many mails it takes
over one connection. Each is tried again after a time that grows while the limit turns out to be still there, so a
limit that stays costs few refusals, and one that goes is forgotten. Nothing here does I/O; `now` is monotonic seconds.
"""

from __future__ import annotations

from math import inf

# How long a learned limit is kept before it is tried again: the first time, and at most.
KEPT, KEPT_AT_MOST = 60.0, 600.0
MESSAGES_KEPT_AT_MOST = 3_600.0
# How long no mail begins after "not now": the first time, and at most while nothing is taken.
HOLD, HOLD_AT_MOST = 1.0, 60.0
# How long to wait before the next connection where none works: the first time, and at most.
RECONNECT, RECONNECT_AT_MOST = 1.0, 30.0
# While a server takes mails, the speed grows by this factor, at most once in so many seconds.
RISE, RISE_EVERY = 1.5, 5.0
NEAR = 0.9  # a speed grows to this part of one that was too fast
ANOTHER = 0.6  # a speed below this part of one that was too fast is another limit
# Seconds between the beginnings of two mails: at speed 0.5, which is the first below one connection, and at most.
GAP, GAP_AT_MOST = 0.01, 60.0
SLOWEST = 0.5 * GAP / GAP_AT_MOST


class Capacity:
    """What one process may use of a mail server at the moment. `most`: connections, whatever the server admits."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._admission, self._speed, self._messages = Admission(), Speed(), MessageLimit()

    def limit(self, now: float) -> int:
        """Return how many connections may be open; those above it are to be closed after their mails."""
        allowed = min(self._admission.limit(now), self._speed.connections(now))
        return min(self.most, max(1, int(min(self.most, allowed))))

    def reconnect(self, now: float) -> float:
        """Return the seconds before the next connection may be tried; 0 unless none works."""
        return self._admission.reconnect(now)

    def opened(self, working: int, now: float) -> None:
        """A new connection is ready; now `working` connections work."""
        self._admission.opened(working)

    def refused(self, working: int, now: float) -> None:
        """A new connection was refused while `working` others worked."""
        self._admission.refused(working, now)

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


class Trust:
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


class Admission:
    """How many connections the server admits."""

    def __init__(self) -> None:
        self._admitted = inf
        self._trust = Trust(KEPT_AT_MOST)
        self._wait, self._next_at = 0.0, -inf

    def limit(self, now: float) -> float:
        return self._admitted if self._trust.holds(now) else self._admitted + 1

    def reconnect(self, now: float) -> float:
        return max(0.0, self._next_at - now)

    def opened(self, working: int) -> None:
        self._wait, self._next_at = 0.0, -inf
        if working > self._admitted:
            self._admitted = working
            self._trust.shorten()

    def refused(self, working: int, now: float) -> None:
        if working == 0:
            self._refused_all(now)
        elif not self._trust.holds(now):
            self._trust.confirm(now)
        elif working < self._admitted:
            # The server may not yet have noticed that an earlier connection was closed.
            self._trust.hasten(now)
        self._admitted = working

    def _refused_all(self, now: float) -> None:
        """The server is down, or others have all its connections: that says nothing about how many it admits."""
        self._trust.end()
        if now >= self._next_at:
            self._wait = min(RECONNECT_AT_MOST, max(RECONNECT, 2 * self._wait))
            self._next_at = now + self._wait


class Speed:
    """How fast the server takes mails.

    From 1 on, the speed is a number of connections. Below 1 it is one connection with a gap between its mails, which
    is twice as long at half the speed.
    """

    def __init__(self) -> None:
        self._trust = Trust(KEPT_AT_MOST)
        self._taken = 0  # mails, since the server began to throttle the last time
        self._throttled_at = -inf  # when that was
        self._slowed_at = -inf
        self._forget()

    def connections(self, now: float) -> float:
        self._forget_what_is_old(now)
        return max(1.0, self._speed)

    def pause(self, now: float) -> float:
        self._forget_what_is_old(now)
        return max(0.0, self._held_until - now, self._next_at - now)

    def began(self, now: float) -> None:
        if self._speed < 1:
            self._next_at = now + 0.5 * GAP / self._speed

    def throttled(self, working: int, begun: float, now: float) -> None:
        if begun < max(self._slowed_at, self._held_until):  # It began at a speed that was too fast already.
            return
        speed = min(self._speed, max(1, working))
        # Where one connection gets no mail through at all, less speed does not help: only time does.
        if speed > 1 or self._hold == 0:
            self._slow_down(speed, now)
        else:
            self._trust.restart(now)
        self._hold = min(HOLD_AT_MOST, max(HOLD, 2 * self._hold))
        self._slowed_at, self._held_until = now, now + self._hold
        self._rise_at = self._held_until + RISE_EVERY

    def took(self, most: int, now: float) -> None:
        self._taken += 1
        if now >= self._held_until:
            self._hold = 0.0
        if self._speed < inf and now >= self._rise_at:
            self._rise_at = now + RISE_EVERY
            self._rise(most, now)

    def _slow_down(self, speed: float, now: float) -> None:
        if not self._trust.holds(now):
            self._trust.confirm(now)
        elif speed < ANOTHER * self._too_fast:
            self._trust.restart(now)
        self._too_fast = min(self._too_fast, speed)
        self._speed = speed / 2
        since = now - self._throttled_at
        if speed <= 1 and since < KEPT_AT_MOST:
            # What it took between two refusals is what it takes in the long run.
            self._speed = min(self._speed, 0.5 * GAP * self._taken / since)
        self._speed = max(self._speed, SLOWEST)
        if self._hold == 0:
            self._throttled_at, self._taken = now, 0

    def _rise(self, most: int, now: float) -> None:
        bound = inf
        if self._trust.holds(now):
            bound = NEAR * self._too_fast
        elif self._speed >= self._too_fast:  # The server takes what was too fast before.
            self._too_fast = inf
        self._speed = max(self._speed, min(RISE * self._speed, bound))
        if self._speed >= most and bound == inf:
            self._forget()

    def _forget_what_is_old(self, now: float) -> None:
        if self._speed < inf and self._trust.is_old(now):
            self._forget()

    def _forget(self) -> None:
        self._speed = self._too_fast = inf
        self._hold, self._held_until, self._next_at, self._rise_at = 0.0, -inf, -inf, -inf


class MessageLimit:
    """How many mails the server takes over one connection."""

    def __init__(self) -> None:
        self._most = 0
        self._trust = Trust(MESSAGES_KEPT_AT_MOST)

    def limit(self, now: float) -> int | None:
        return self._most if self._trust.holds(now) else None

    def spent(self, mails: int, now: float) -> None:
        if mails < 1:  # A new connection's refusal has another reason.
            return
        if self._trust.holds(now):
            mails = min(self._most, mails)
        elif abs(mails - self._most) <= max(2, self._most // 4):
            self._trust.confirm(now)
        else:
            self._trust.restart(now)
        self._most = mails
