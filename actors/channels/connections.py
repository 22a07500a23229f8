"""How many connections this process may open to a mail server: what its lease grants and what the server admits."""

from __future__ import annotations

import asyncio
import time

import logs
from actors.channels.capacity import Capacity
from actors.channels.lease import RENEW_EVERY, ConnectionLease

log = logs.get("connections")

AT_ONCE = 0.05  # seconds before the lease is renewed where more connections are wanted than it grants


class Connections:
    """The limits of the senders of one mail server. Without a lease all of its connections are for this process."""

    def __init__(self, capacity: Capacity, lease: ConnectionLease | None = None) -> None:
        self.capacity, self._lease = capacity, lease
        self.open = 0  # greeted, and not closed as far as we know
        self._wanted = self._senders = 0
        self._more = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    def limit(self, now: float) -> int:
        return self.capacity.limit(now) if self._lease is None else min(self._lease.granted, self.capacity.limit(now))

    def pause(self, now: float) -> float:
        wait = self.capacity.pause(now)
        return wait if self.open else max(wait, self.capacity.reconnect(now))

    def began(self, now: float) -> None:
        self.capacity.began(now)

    def want(self, senders: int, wanted: int) -> None:
        self._senders, self._wanted = senders, wanted
        if self._lease is not None and wanted > self._lease.granted:
            self._more.set()

    @property
    def working(self) -> int:
        """How many connections work: of this process, or of others where this one has none."""
        return self.open or (self._lease.elsewhere if self._lease is not None else 0)

    async def start(self) -> None:
        """Take a share of the connections, and keep it until `stop`."""
        if self._lease is not None:
            await self._renew(self._lease)
            self._keeper = asyncio.get_running_loop().create_task(self._keep(self._lease))

    async def stop(self) -> None:
        """Give the share back; the connections are closed."""
        if self._keeper is not None and self._lease is not None:
            self._keeper.cancel()
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
            except Exception as error:  # Whatever it is, the share that we have goes on.
                log.error("lease.failed", exc_info=error)

    async def _renew(self, lease: ConnectionLease) -> None:
        admitted = self.capacity.limit(time.monotonic())
        most = admitted + lease.elsewhere if admitted < lease.granted else None
        await asyncio.to_thread(lease.renew, max(self._wanted, self._senders), self._senders, most)
