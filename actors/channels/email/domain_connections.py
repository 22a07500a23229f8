"""Share the number of mails that go to one domain at a time among all worker processes, through its lease."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from actors.channels.lease import RENEW_EVERY, ConnectionLease
from runtime import logs

log = logs.get("domains")

QUIET = 5  # renewals without mails after which the lease is given back


class DomainConnections:
    """This process's share of the mails at a time to one domain, leased while there are mails for it."""

    def __init__(
        self, lease: ConnectionLease, connections: int, in_use: Callable[[], int], rouse: Callable[[], None]
    ) -> None:
        """`in_use` returns how many mails are under way. `rouse` is called when more may begin."""
        self._lease, self._connections, self._in_use, self._rouse = lease, connections, in_use, rouse
        self._refused = False  # since the last renewal
        self._keeper: asyncio.Task[None] | None = None

    @property
    def granted(self) -> int:
        return self._lease.granted

    def permits(self) -> bool:
        """Return whether one more mail may begin."""
        if self._in_use() < self._lease.granted:
            return True
        self._refused = True
        if self._keeper is None or self._keeper.done():
            self._keeper = asyncio.get_running_loop().create_task(self._keep())
        return False

    async def close(self) -> None:
        """Give the lease back."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])

    async def _keep(self) -> None:
        quiet = 0
        try:
            while quiet < QUIET:
                in_use, before = self._in_use(), self._lease.granted
                wanted = self._connections if self._refused else in_use
                quiet = 0 if wanted else quiet + 1
                self._refused = False
                try:
                    await asyncio.to_thread(self._lease.renew, wanted, in_use)
                except Exception:
                    log.exception("lease.failed")
                if self._lease.granted > before:
                    self._rouse()
                await asyncio.sleep(RENEW_EVERY)
        finally:
            self._lease.granted = 0
            await asyncio.to_thread(self._lease.give_back)
