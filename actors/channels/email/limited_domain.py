"""A recipient domain that takes only so many mails: as configured, as learned from its answers, or both."""

from __future__ import annotations

from math import inf

from actors.channels.email.domain_connections import DomainConnections
from actors.channels.rate import SharedRate
from actors.channels.speed import Speed
from settings.domain_limits import DomainLimit

AGAIN = 1.0  # seconds until a mail that waits for the end of another one is looked at again, at the latest
FIRST_GUESS = 0.05  # seconds that a mail takes, before one was sent
NEWEST = 0.2  # the weight of the newest mail in the mean time that a mail takes
UNLIMITED = DomainLimit(None, None)


class LimitedDomain:
    """Limits of one domain in this process. Times are `time.monotonic()`."""

    def __init__(
        self,
        limit: DomainLimit = UNLIMITED,
        rate: SharedRate | None = None,
    ) -> None:
        """`rate` shares that of `limit` among all processes."""
        self.limit, self._rate = limit, rate
        self.connections: DomainConnections | None = None  # share those of `limit`
        self.under_way: dict[int, float] = {}  # when each began, by id
        self._speed: Speed | None = None  # learned
        self.said = ""  # the answer by which it was learned
        self._seconds = FIRST_GUESS  # that a mail takes

    def is_over(self, now: float) -> bool:
        """Return whether nothing limits the domain any more."""
        if self._speed is not None and self._speed.connections(now) == inf:
            self._speed, self.said = None, ""
        return self._speed is None and self.limit == UNLIMITED and not self.under_way

    def pause(self, now: float) -> float:
        """Return the seconds until a mail may begin; 0.0 means at once."""
        if self._speed is not None:
            if wait := self._speed.pause(now):
                return wait
            if len(self.under_way) + 1 > self._speed.connections(now):
                return AGAIN
        if self.connections is not None and not self.connections.permits():
            return AGAIN
        return self._rate.pause(now) if self._rate else 0.0

    def begin(self, id: int, now: float) -> None:
        """Count a mail as under way."""
        self.under_way[id] = now
        if self._speed is not None:
            self._speed.began(now)
        if self._rate is not None:
            self._rate.began(now)

    def took(self, id: int, most: int, now: float) -> None:
        """Note that a mail was taken. `most`: connections to the mail server."""
        if (begun := self.under_way.get(id)) is not None:
            self._seconds += NEWEST * (now - begun - self._seconds)
        if self._speed is not None:
            self._speed.took(most, now)

    def throttled(self, working: int, begun: float, said: str, now: float) -> float:
        """Note that the domain refused a mail of `begun` because of our rate. Return the seconds until the next.

        `working`: how many mails to it were under way, if they are not counted yet.
        """
        counted = len(self.under_way) if self._speed is not None else 0
        self._speed, self.said = self._speed or Speed(), said
        self._speed.throttled(max(counted, working), begun, now)
        return max(AGAIN, self._speed.pause(now))

    def forgive(self) -> None:
        """Forget what was learned: it was not about the domain."""
        self._speed, self.said = None, ""

    def per_second(self, now: float) -> float:
        """Return how many mails a second it takes, as far as known; infinity if that is not limited."""
        at_once = inf
        if self.connections is not None:
            at_once = max(1, self.connections.granted)
        if self._speed is not None:
            at_once = min(at_once, self._speed.connections(now))
        seconds = max(self._seconds, 0.001)
        gap = self._speed.gap if self._speed is not None else 0.0
        return min(self.limit.rate or inf, at_once / max(seconds, gap))

    def wait(self, earlier: int, now: float) -> float:
        """Return the seconds until a mail may begin that has `earlier` others before it."""
        held = self._speed.pause(now) if self._speed is not None else 0.0
        return held + earlier / self.per_second(now)
