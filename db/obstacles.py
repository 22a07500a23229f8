"""Conditions that keep many notifications from being sent. Call `read` within `connection()`.

The cost does not grow with the tables: there are few providers, pauses and workers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from db import live_stats, pauses, refused_domains, workers
from db.live_stats import Provider, Worker
from db.pauses import Pause
from db.refused_domains import Pair

OF_CLIENTS = ("client", "disabled")  # kinds of pauses that concern one client


class Obstacles(NamedTuple):
    """Open breakers, pauses in force, and whether a worker is alive.

    `last_seen`: when the last worker was seen that ended without a shutdown; None if a worker is alive or none is
    known. `working`: the channels with a provider that live workers use and that works. `served`: the channels that
    live workers serve; None if one does not tell. `refused_domains`: which provider refuses mails from which domain.
    `exhausted`: providers whose daily limit is used up.
    """

    providers: Sequence[Provider] = ()
    pauses: Sequence[Pause] = ()
    workers: bool = True
    last_seen: datetime | None = None
    working: Collection[str] = ()
    served: Collection[str] | None = None
    refused_domains: Sequence[Pair] = ()
    exhausted: Sequence[Provider] = ()

    def __bool__(self) -> bool:
        return bool(self.providers or self.exhausted or self.pauses or self.refused_domains or not self.workers)

    def for_client(self, client_id: int) -> Obstacles:
        """Return the obstacles without the pauses of other clients."""
        mine = [pause for pause in self.pauses if pause.kind not in OF_CLIENTS or pause.name == str(client_id)]
        return self._replace(pauses=mine)


def read(worker_timeout: float, configured: Collection[str], now: datetime) -> Obstacles:
    """Return the obstacles of this moment. See `live_stats` for the parameters."""
    seen = live_stats.workers(worker_timeout)
    used = live_stats.in_use(live_stats.providers(), seen, configured)
    return of(used, seen, pauses.all_in_force(), now, refused_domains.open_pairs())


def of(
    known: Sequence[Provider], seen: Sequence[Worker], held: Sequence[Pause], now: datetime, refused: Sequence[Pair]
) -> Obstacles:
    """Return the obstacles among these providers, workers and pauses."""
    alive = any(worker.alive for worker in seen)
    silent = min((worker.silent_for for worker in seen), default=None)
    last_seen = None if alive or silent is None else now - timedelta(seconds=silent)
    down = [one for one in known if one.opened_at is not None]
    used = {name for worker in seen if worker.alive for name in (worker.provider or "").split(", ") if name}
    working = {one.channel for one in known if one.name in used and one.works}
    exhausted = [one for one in known if one.exhausted_until is not None]
    return Obstacles(down, held, alive, last_seen, working, served(seen), refused, exhausted)


def served(seen: Iterable[Worker]) -> Collection[str] | None:
    """Return the channels that live workers serve; None if one of them is of a version that does not tell."""
    told = [worker.settings.get(workers.CHANNELS) for worker in seen if worker.alive]
    if None in told:
        return None
    return {name for names in told for name in str(names).split(", ")}
