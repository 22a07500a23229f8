"""/api/limits: the limits of the caller."""

from __future__ import annotations

from falcon.asgi import Request, Response

from api.access.auth import require
from api.access.limits import Limits
from api.http.answers import write


class OwnLimits:
    """GET: show the limits that apply to this key, and how much of each is used."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    async def on_get(self, req: Request, resp: Response) -> None:
        caller = require(req, "read")
        write(resp, await self._limits.use(self._limits.of(caller)))

    on_head = on_get
