"""Limit the connections of this process to a mail server by its lease and by the number that the server accepts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from math import inf
from typing import Protocol

from actors.channels.capacity import Capacity
from actors.channels.lease import RENEW_EVERY, ConnectionLease
from actors.channels.rate import SharedRate
from runtime import logs

log = logs.get("connections")

ALONE = 3.0  # seconds after its start during which a process asks for at most half of the connections
AT_ONCE = 0.05  # seconds until the lease is renewed when more connections are wanted than it grants


class Connection(Protocol):
    """Connection to a provider."""

    @property
    def alive(self) -> bool:
        """True while it can be used."""


class Connections:
    """Limits of the senders of one mail server. Without a lease, this process may use all connections.

    Two capacities are learned from the server: that of this process's own connections, which applies at once, and
    that of the connections of all processes, which the lease divides among them.
    """

    def __init__(self, connections: int, lease: ConnectionLease | None = None, rate: SharedRate | None = None) -> None:
        self.own, self._all, self._lease, self._rate = Capacity(connections), Capacity(connections), lease, rate
        self._open: set[Connection] = set()
        self._connections = connections
        self._listener: Callable[[], None] = lambda: None
        self._wanted = self._senders = 0
        self._greedy_at = time.monotonic() + ALONE
        self._asked = 0  # connections that were wanted when the lease was last renewed
        self._down = False  # True if no process had a working connection at the last refusal
        self._worked_at = -inf  # time at which a connection of any process was last known to work
        self._more = asyncio.Event()
        self._renewing = asyncio.Lock()
        self._keeper: asyncio.Task[None] | None = None

    def limit(self, now: float) -> int:
        limit = self.own.limit(now)
        return limit if self._lease is None else min(self._lease.granted, limit)

    def pause(self, now: float) -> float:
        wait = self.own.pause(now)
        if not self._open:
            wait = max(wait, self.own.reconnect(now))
        # Ask for the rate last, because what it grants is for use at once.
        return wait or (self._rate.pause(now) if self._rate else 0.0)

    def began(self, now: float) -> None:
        self.own.began(now)
        self._all.began(now)
        if self._rate:
            self._rate.began(now)

    def took(self) -> None:
        """Record that the server accepted a mail."""
        now = self._worked_at = time.monotonic()
        self.own.took(now)
        self._all.took(now)

    def throttled(self, begun: float) -> None:
        """Record that the server throttled a mail that was begun at `begun` (`time.monotonic()`)."""
        now = time.monotonic()
        self.own.throttled(self.open, begun, now)
        self._all.throttled(self.working, begun, now)

    def want(self, senders: int, wanted: int) -> None:
        # The processes of a group start one after the other; leave connections for those that start later.
        most = self._connections if time.monotonic() > self._greedy_at else -(-self._connections // 2)
        self._senders, self._wanted = senders, min(wanted, most)
        if self._lease is not None and self._wanted > max(self._asked, self._lease.granted):
            self._more.set()

    def listen(self, call: Callable[[], None]) -> None:
        self._listener = call

    def rouse(self) -> None:
        """Tell the listener that something may have become possible."""
        self._listener()

    @property
    def open(self) -> int:
        """Number of open connections of this process."""
        return sum(connection.alive for connection in self._open)

    @property
    def working(self) -> int:
        """Number of open connections of all processes, as far as this one knows."""
        return self.open + (self._lease.elsewhere if self._lease is not None else 0)

    def opened(self, connection: Connection) -> None:
        """Record a new connection that is ready."""
        self._open.add(connection)
        self._down = False
        now = self._worked_at = time.monotonic()
        self.own.opened(self.open, now)
        self._all.opened(self.working, now)

    def closed(self, connection: Connection) -> None:
        """Record that a connection is no longer used. If it is still open, it has worked until now."""
        self._open.discard(connection)
        if connection.alive:
            self._worked_at = time.monotonic()

    async def refused(self, since: float, *, reached: bool, full: bool) -> bool:
        """Record that a new connection was refused. Return whether other connections have worked since.

        `since`: when the attempt to connect began. `reached`: the server answered. `full`: it reported too many
        connections. If no connection works, the server is down, and the breaker handles it.
        """
        if reached and self._lease is not None and not (self.working or self._down):
            # Another process may have opened a connection, which its next renewal of the lease reports.
            await asyncio.sleep(max(0.0, since + RENEW_EVERY + AT_ONCE - time.monotonic()))
            await self._renew(self._lease)
        others = self.working > 0 or self._worked_at > since
        self._down = not others
        if others or full:
            now = time.monotonic()
            self.own.refused(self.open, now)
            self._all.refused(self.working, now)
        return others

    async def start(self) -> None:
        """Lease a share of the connections, and renew it until `stop`."""
        if self._lease is not None:
            await self._renew(self._lease)
            self._keeper = asyncio.get_running_loop().create_task(self._keep(self._lease))

    async def stop(self) -> None:
        """Give the share back. Call it after the connections are closed."""
        if self._keeper is not None and self._lease is not None:
            self._keeper.cancel()
            async with self._renewing:
                await asyncio.to_thread(self._lease.give_back)

    async def _keep(self, lease: ConnectionLease) -> None:
        while True:
            try:
                async with asyncio.timeout(RENEW_EVERY):
                    await self._more.wait()
                await asyncio.sleep(AT_ONCE)
            except TimeoutError:
                pass
            self._more.clear()
            try:
                await self._renew(lease)
            except Exception as error:
                log.error("lease.failed", exc_info=error)

    async def _renew(self, lease: ConnectionLease) -> None:
        async with self._renewing:
            wanted, open, most = max(self._wanted, self._senders), self.open, self._all.limit(time.monotonic())
            self._asked, before = wanted, lease.granted
            await asyncio.to_thread(lease.renew, wanted, max(self._senders, open), most, open)
            if lease.elsewhere:
                self._worked_at = time.monotonic()
            if lease.granted > before:
                self._listener()
