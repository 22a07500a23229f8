"""Number of pending notifications of each client: the last count in the database, plus those accepted since.

Notifications that other processes accept become known with the next count. Requests do not wait for it: the count is
read in the background.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict, deque
from contextlib import suppress

from api.store import NotificationStore
from db import backlogs
from db.clock import clock
from db.database import Unavailable

KEPT = 1_000  # entries of a client; more are merged, oldest first, while nothing is counted
TENTH = 0.1  # seconds that share one entry


class Since:
    """Number of notifications that were accepted, by time."""

    __slots__ = ("_entries", "total")

    def __init__(self) -> None:
        self._entries: deque[tuple[float, int]] = deque()
        self.total = 0

    def add(self, count: int, at: float) -> None:
        """Add `count` at the time `at`, in seconds; a time before the last entry counts as that of the last entry."""
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
        """Forget the entries before `until`, which have been counted since."""
        while self._entries and self._entries[0][0] + TENTH < until:
            self.total -= self._entries.popleft()[1]


class Backlogs:
    """Pending notifications by client. Use it on the event loop only."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store
        self._every = store.settings.limits.backlog_interval / 2
        self._last = backlogs.Backlogs(0.0, {})
        self._since: defaultdict[int, Since] = defaultdict(Since)
        self._coming: Counter[int] = Counter()
        self._asked_at = 0.0
        self._asking: asyncio.Task[None] | None = None

    def waiting(self, client: int) -> int:
        """Return how many notifications are pending, including those that are being stored."""
        if self._asking is None and time.monotonic() - self._asked_at >= self._every:
            self._begin()
        since = self._since.get(client)
        return self._last.pending.get(client, 0) + self._coming[client] + (since.total if since else 0)

    async def has_room(self, client: int, count: int, most: int) -> bool:
        """Return whether there is room for `count` more. Before it denies that, it waits for a count in progress."""
        if self.waiting(client) + count <= most:
            return True
        if self._asking is None:
            return False
        await self.refresh()
        return self.waiting(client) + count <= most

    def reserve(self, client: int, count: int) -> None:
        """Reserve room for `count` notifications that are about to be stored."""
        self._coming[client] += count

    def commit(self, client: int, count: int, stored: int) -> None:
        """Release the reservation of `count` notifications, of which `stored` were stored."""
        self._coming[client] -= count
        if stored:
            self._since[client].add(stored, clock.now())

    async def refresh(self) -> None:
        """Read the last count, shared by concurrent callers. Keep the old one if the database is unavailable."""
        # A caller that gives up must not cancel the reading for the others.
        await asyncio.shield(self._asking or self._begin())

    def _begin(self) -> asyncio.Task[None]:
        self._asked_at = time.monotonic()
        self._asking = asyncio.get_running_loop().create_task(self._ask())
        return self._asking

    async def _ask(self) -> None:
        try:
            with suppress(Unavailable):  # The next reading will succeed.
                self._learn(await self._store.read_aside(backlogs.read))
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
