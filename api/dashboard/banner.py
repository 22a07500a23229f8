"""The banner of every page: what keeps notifications from being sent."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

from api.access.auth import Caller
from api.dashboard.visitor import may_choose
from api.store import NotificationStore
from db import obstacles
from db.coalesce import Full
from db.database import Unavailable
from db.obstacles import Obstacles
from runtime import logs

log = logs.get("dashboard")

FRESH = 2.0  # seconds for which an API process shows the same obstacles
WAIT = 1.0  # seconds for which a page waits for them; it must appear while PostgreSQL hangs


class ObstacleWatch:
    """Reads the obstacles at most once in FRESH seconds for all pages of an API process. Use it on the event loop."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store
        self._found = Obstacles()
        self._read_at = -FRESH
        self._reading: asyncio.Task[None] | None = None

    async def now(self) -> Obstacles:
        """Return the obstacles; the last known ones, or none, if PostgreSQL does not answer."""
        if time.monotonic() - self._read_at >= FRESH:
            if self._reading is None:
                self._reading = asyncio.create_task(self._read())
            await asyncio.wait({self._reading}, timeout=WAIT)
        return self._found

    async def _read(self) -> None:
        chosen = self._store.settings
        timeout, providers = chosen.delivery.worker_timeout, chosen.provider_names
        try:
            self._found = await self._store.read_aside(obstacles.read, timeout, providers, datetime.now(UTC))
        except (Unavailable, Full):
            self._found = Obstacles()
        except Exception:  # The page is of use without its banner.
            log.exception("obstacles.failed")
        finally:
            self._read_at, self._reading = time.monotonic(), None


def seen_by(caller: Caller, found: Obstacles) -> Obstacles:
    """Return the obstacles that a caller may see: pauses of other clients, and domains, are for admins.

    That another client is disabled is no obstacle for anybody else.
    """
    mine = found.for_client(caller.client_id)
    if not may_choose(caller):
        return mine._replace(refused_domains=())
    return found._replace(pauses=[p for p in found.pauses if p.kind != "disabled" or p in mine.pauses])
