"""Conditions that keep many notifications from being sent. Call `read` within `connection()`.

The cost does not grow with the tables: there are few providers, pauses and workers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from db import live_stats, pauses
from db.live_stats import Provider, Worker
from db.pauses import Pause

OF_CLIENTS = ("client", "disabled")  # kinds of pauses that concern one client


class Obstacles(NamedTuple):
    """Open breakers, pauses in force, and whether a worker is alive.

    `last_seen`: when the last worker was seen that ended without a shutdown; None if a worker is alive or none is
    known. `some_provider_works`: the live workers have a provider besides those of the open breakers.
    """

    providers: Sequence[Provider] = ()
    pauses: Sequence[Pause] = ()
    workers: bool = True
    last_seen: datetime | None = None
    some_provider_works: bool = False

    def __bool__(self) -> bool:
        return bool(self.providers or self.pauses or not self.workers)

    def for_client(self, client_id: int) -> Obstacles:
        """Return the obstacles without the pauses of other clients."""
        mine = [pause for pause in self.pauses if pause.kind not in OF_CLIENTS or pause.name == str(client_id)]
        return self._replace(pauses=mine)


def read(worker_timeout: float, configured: Collection[str], now: datetime) -> Obstacles:
    """Return the obstacles of this moment. See `live_stats` for the parameters."""
    seen = live_stats.workers(worker_timeout)
    return of(live_stats.in_use(live_stats.providers(), seen, configured), seen, pauses.all_in_force(), now)


def of(known: Iterable[Provider], workers: Sequence[Worker], held: Sequence[Pause], now: datetime) -> Obstacles:
    """Return the obstacles among these providers, workers and pauses."""
    alive = any(worker.alive for worker in workers)
    silent = min((worker.silent_for for worker in workers), default=None)
    last_seen = None if alive or silent is None else now - timedelta(seconds=silent)
    down = [one for one in known if one.opened_at is not None]
    used = {name for worker in workers if worker.alive for name in (worker.provider or "").split(", ") if name}
    return Obstacles(down, held, alive, last_seen, not used <= {one.name for one in down})
