"""Mail servers with limits, and a pool that sends to them as fast as Capacity allows, in simulated time."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from math import inf

from actors.channels.capacity import Capacity

POLL = 0.25  # seconds between two looks at what Capacity allows


@dataclass
class Server:
    """A mail server; what it limits may be changed while it runs."""

    latency: float = 0.2  # seconds for each answer
    admits: float = inf  # connections
    at_once: float = inf  # mails that are being sent
    rate: float = inf  # mails in a window
    window: float = 1.0  # seconds
    messages: float = inf  # over one connection
    throttles: bool = False  # everything
    begun: int = 0
    taken_at: deque[float] = field(default_factory=deque)

    def answer(self, carried: int, now: float) -> str:
        """Return what it says to a mail over a connection that has carried so many."""
        while self.taken_at and self.taken_at[0] <= now - self.window:
            self.taken_at.popleft()
        if carried >= self.messages:
            return "spent"
        if self.throttles or self.begun > self.at_once or len(self.taken_at) >= self.rate:
            return "throttled"
        if self.rate < inf:
            self.taken_at.append(now)
        return "taken"


@dataclass(eq=False)
class Connection:
    """One connection."""

    carried: int = 0


class Pool:
    """Pool of connections that always has mail to send."""

    def __init__(self, server: Server, most: int = 20, start: float = 1_000.0) -> None:
        self.server, self.capacity, self.now = server, Capacity(most), start
        self.taken = self.throttled = self.refused = self.spent = 0
        self.fewest = most  # connections that Capacity has allowed
        self.connections: set[Connection] = set()
        self._opening = 0
        self._numbers = count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._poll()

    def run(self, seconds: float) -> int:
        """Send for so long; return how many mails were taken meanwhile."""
        before, end = self.taken, self.now + seconds
        while self._events[0][0] <= end:
            self.now, _, event = heapq.heappop(self._events)
            event()
        self.now = end
        return self.taken - before

    def _later(self, seconds: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + seconds, next(self._numbers), event))

    def _poll(self) -> None:
        self._fill()
        self._later(POLL, self._poll)

    def _fill(self) -> None:
        limit = self.capacity.limit(self.now)
        self.fewest = min(self.fewest, limit)
        while len(self.connections) + self._opening < limit and self.capacity.reconnect(self.now) == 0:
            self._opening += 1
            self._later(self.server.latency, self._greeted)

    def _greeted(self) -> None:
        self._opening -= 1
        if len(self.connections) >= self.server.admits:
            self.refused += 1
            self.capacity.refused(len(self.connections), self.now)
            return
        connection = Connection()
        self.connections.add(connection)
        self.capacity.opened(len(self.connections), self.now)
        self._next(connection)
        self._fill()

    def _next(self, connection: Connection) -> None:
        most = self.capacity.messages(self.now)
        if len(self.connections) > min(self.capacity.limit(self.now), self.server.admits) or (
            most is not None and connection.carried >= most
        ):
            self.connections.remove(connection)
            self._fill()
        elif pause := self.capacity.pause(self.now):
            self._later(pause, lambda: self._next(connection))
        else:
            begun = self.now
            self.capacity.began(begun)
            self.server.begun += 1
            self._later(self.server.latency, lambda: self._answered(connection, begun))

    def _answered(self, connection: Connection, begun: float) -> None:
        answer = self.server.answer(connection.carried, self.now)
        self.server.begun -= 1
        if answer == "taken":
            connection.carried += 1
            self.taken += 1
            self.capacity.took(self.now)
        elif answer == "throttled":
            self.throttled += 1
            self.capacity.throttled(len(self.connections), begun, self.now)
        else:
            self.spent += 1
            self.capacity.spent(connection.carried, self.now)
            connection.carried = 1_000_000_000  # Not used again.
            self.connections.remove(connection)
            self._fill()
            return
        self._next(connection)
