"""Learn how fast a mail server takes mails from its refusals. `now` is in seconds of `time.monotonic()`."""

from __future__ import annotations

from math import inf

from actors.channels.backoff import KEPT_AT_MOST, Backoff

# Seconds without a new mail after a refusal: the first time, and at most while the server takes nothing.
HOLD, HOLD_AT_MOST = 1.0, 60.0
# While a server takes mails, the speed grows by the factor RISE every RISE_EVERY seconds.
RISE, RISE_EVERY = 1.5, 5.0
NEAR = 0.9  # the speed grows up to this share of one that was too fast
ANOTHER = 0.6  # a refusal below this share of the speed that was too fast means a new limit
# Seconds from the start of one mail to the start of the next: at speed 0.5, and at most.
GAP, GAP_AT_MOST = 0.01, 60.0
SLOWEST = 0.5 * GAP / GAP_AT_MOST


class Speed:
    """Speed at which the server takes mails.

    A speed of 1 or more is a number of connections. Below 1 there is one connection with a gap between its mails; half
    the speed means twice the gap.
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

    @property
    def gap(self) -> float:
        """Seconds from the start of one mail to the start of the next; 0.0 if connections limit the speed."""
        return 0.5 * GAP / self._speed if self._speed < 1 else 0.0

    def pause(self, now: float) -> float:
        self._forget_what_is_old(now)
        return max(0.0, self._held_until - now, self._next_at - now)

    def began(self, now: float) -> None:
        if self._speed < 1:
            self._next_at = now + self.gap

    def throttled(self, working: int, begun: float, now: float) -> None:
        if begun < self._held_until:  # It began before the speed was reduced.
            return
        speed = min(self._speed, max(1, working))
        # If a single connection gets no mail through, only time helps, not less speed.
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
            # The rate between two refusals is the rate that the server takes in the long run.
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
