"""/: what is moving right now."""

from __future__ import annotations

from falcon.asgi import Request, Response

from api.auth import require
from api.dashboard.page import show
from api.gateway import Gateway


class Overview:
    """GET: the page."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def on_get(self, req: Request, resp: Response) -> None:
        require(req, "read")
        show(req, resp, "overview.html")

    on_head = on_get
