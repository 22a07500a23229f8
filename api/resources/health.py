"""/healthz and /readyz, for load balancers and supervisors."""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus

from falcon.asgi import Request, Response

from api.http.answers import write
from api.resources.redis_health import RedisHealth
from api.store import NotificationStore
from db import fitness, migrations, reports
from db.coalesce import Full
from db.database import Unavailable

KEPT = 1.0  # seconds for which an answer of /readyz is reused, because anybody may ask for it


class Alive:
    """GET: 200 while the process answers."""

    async def on_get(self, _req: Request, resp: Response) -> None:
        write(resp, {"status": "ok"})

    on_head = on_get


class Ready:
    """GET: 200 if the database, its schema and Redis are usable, else 503; `checks` says which one is not.

    Without Redis notifications are still accepted and nothing is lost, but they are sent only when it is back. The same
    is true if Redis answers but refuses what is needed, for example because it is full.
    """

    def __init__(self, store: NotificationStore, redis: RedisHealth) -> None:
        self._store, self._redis = store, redis
        self._look: asyncio.Task[dict[str, str]] | None = None
        self._at = 0.0

    async def on_get(self, _req: Request, resp: Response) -> None:
        checks = await self._kept_checks()
        ready = all(state == "ok" for state in checks.values())
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        write(resp, {"status": "ok" if ready else "unavailable", "checks": checks}, status)

    on_head = on_get

    async def _kept_checks(self) -> dict[str, str]:
        """Return the newest results. Checks start at most once in KEPT seconds, however many requests come."""
        if self._look is None or (self._look.done() and time.monotonic() - self._at >= KEPT):
            self._look, self._at = asyncio.create_task(self._checks()), time.monotonic()
        return await asyncio.shield(self._look)

    async def _checks(self) -> dict[str, str]:
        database, schema, broker = await asyncio.gather(self._database(), self._schema(), self._broker())
        return {"database": database, "migrations": schema, "redis": broker}

    async def _database(self) -> str:
        try:
            await self._store.read(reports.answers)
        except (Unavailable, Full):
            return "unavailable"
        return "ok"

    async def _schema(self) -> str:
        try:
            await self._store.read(migrations.check)
        except (Unavailable, Full):
            return "unknown"
        except fitness.Unusable as error:
            return str(error)
        return "ok"

    async def _broker(self) -> str:
        fault = await self._redis.fault()
        if fault is None:
            return "ok"
        return "unavailable" if fault.away else str(fault)
