"""How fast a mail server takes mails, learned from its answers "not now". `now` is monotonic seconds."""

from __future__ import annotations

from math import inf

from actors.channels.backoff import KEPT_AT_MOST, Backoff

# How long no mail begins after "not now": the first time, and at most while nothing is taken.
HOLD, HOLD_AT_MOST = 1.0, 60.0
# While a server takes mails, the speed grows by this factor, at most once in so many seconds.
RISE, RISE_EVERY = 1.5, 5.0
NEAR = 0.9  # a speed grows to this part of one that was too fast
ANOTHER = 0.6  # a speed below this part of one that was too fast is another limit
# Seconds between the beginnings of two mails: at speed 0.5, which is the first below one connection, and at most.
GAP, GAP_AT_MOST = 0.01, 60.0
SLOWEST = 0.5 * GAP / GAP_AT_MOST


class Speed:
    """How fast the server takes mails.

    From 1 on, the speed is a number of connections. Below 1 it is one connection with a gap between its mails, which
    is twice as long at half the speed.
    """

    def __init__(self) -> None:
        self._backoff = Backoff(KEPT_AT_MOST)
        self._taken = 0  # mails, since the server began to throttle the last time
        self._throttled_at = -inf  # when that was
        self._speed = self._too_fast = inf
        self._hold = 0.0  # seconds
        self._held_until = self._next_at = self._rise_at = -inf

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
        if begun < self._held_until:  # It began at a speed that was too fast already.
            return
        speed = min(self._speed, max(1, working))
        # Where one connection gets no mail through at all, less speed does not help: only time does.
        if speed > 1 or self._hold == 0:
            self._slow_down(speed, now)
        else:
            self._backoff.restart(now)
        self._hold = min(HOLD_AT_MOST, max(HOLD, 2 * self._hold))
        self._held_until = now + self._hold
        self._rise_at = self._held_until + RISE_EVERY

    def took(self, most: int, now: float) -> None:
        self._taken += 1
        if now >= self._held_until:
            self._hold = 0.0
        if self._speed < inf and now >= self._rise_at:
            self._rise_at = now + RISE_EVERY
            self._rise(most, now)

    def _slow_down(self, speed: float, now: float) -> None:
        if not self._backoff.holds(now):
            self._backoff.confirm(now)
        elif speed < ANOTHER * self._too_fast:
            self._backoff.restart(now)
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
        if self._backoff.holds(now):
            bound = NEAR * self._too_fast
        elif self._speed >= self._too_fast:  # The server takes what was too fast before.
            self._too_fast = inf
        self._speed = max(self._speed, min(RISE * self._speed, bound))
        if self._speed >= most and bound == inf:
            self._forget()

    def _forget_what_is_old(self, now: float) -> None:
        if self._speed < inf and self._backoff.is_old(now):
            self._forget()

    def _forget(self) -> None:
        self._speed = self._too_fast = inf
        self._hold, self._held_until, self._next_at = 0.0, -inf, -inf
