"""What waits of each client, as far as this process knows: as counted last, and what it has taken in since.

What other processes have taken in is known with the next count. Requests are let in without waiting
for that: the event loop asks for the last count behind their back.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict, deque
from contextlib import suppress

from api.store import Gateway
from db import backlogs
from db.clock import clock
from db.database import Unavailable

KEPT = 1_000  # entries of a client; if nobody counts, the oldest are put together
TENTH = 0.1  # seconds that are one entry


class Since:
    """How many were taken in, and when."""

    __slots__ = ("_entries", "total")

    def __init__(self) -> None:
        self._entries: deque[tuple[float, int]] = deque()
        self.total = 0

    def add(self, count: int, at: float) -> None:
        """`at`: seconds; no earlier than that of the last one, or it counts as that."""
        self.total += count
        last, before = self._entries[-1] if self._entries else (0.0, 0)
        if self._entries and at < last + TENTH:
            self._entries[-1] = last, before + count
            return
        self._entries.append((at, count))
        if len(self._entries) > KEPT:
            (_, first), (later, second) = self._entries.popleft(), self._entries.popleft()
            self._entries.appendleft((later, first + second))

    def __len__(self) -> int:
        return len(self._entries)

    def forget(self, until: float) -> None:
        """What was taken in by then has been counted."""
        while self._entries and self._entries[0][0] + TENTH < until:
            self.total -= self._entries.popleft()[1]


class Backlogs:
    """For the event loop alone."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._every = gateway.settings.limits.backlog_interval / 2
        self._last = backlogs.Backlogs(0.0, {})
        self._since: defaultdict[int, Since] = defaultdict(Since)
        self._coming: Counter[int] = Counter()
        self._asked_at = 0.0
        self._asking: asyncio.Task[None] | None = None

    def waiting(self, client: int) -> int:
        """How many wait, those included that are being taken in."""
        if self._asking is None and time.monotonic() - self._asked_at >= self._every:
            self._begin()
        since = self._since.get(client)
        return self._last.pending.get(client, 0) + self._coming[client] + (since.total if since else 0)

    async def has_room(self, client: int, count: int, most: int) -> bool:
        """Whether so many more may come. Before it says no to somebody, it waits for the last count, if that is old."""
        if self.waiting(client) + count <= most:
            return True
        if self._asking is None:
            return False
        await self.refresh()
        return self.waiting(client) + count <= most

    def come(self, client: int, count: int) -> None:
        """So many are being taken in."""
        self._coming[client] += count

    def came(self, client: int, count: int, stored: int) -> None:
        """Of `count` that came so many were stored."""
        self._coming[client] -= count
        if stored:
            self._since[client].add(stored, clock.now())

    async def refresh(self) -> None:
        """Learn the last count, with all who want it at this moment; not, where the database is away."""
        # Who gives up waiting must not take the answer from the others.
        await asyncio.shield(self._asking or self._begin())

    def _begin(self) -> asyncio.Task[None]:
        self._asked_at = time.monotonic()
        self._asking = asyncio.get_running_loop().create_task(self._ask())
        return self._asking

    async def _ask(self) -> None:
        try:
            with suppress(Unavailable):  # The next one will tell.
                self._learn(await self._gateway.read_aside(backlogs.read))
        finally:
            self._asking = None

    def _learn(self, last: backlogs.Backlogs) -> None:
        if last.counted_at > self._last.counted_at:
            for client, since in list(self._since.items()):
                since.forget(last.counted_at)
                if not since.total:
                    del self._since[client]
            self._coming = +self._coming
        self._last = last
