"""What every request gets: an id, which stands in its log lines and in its answer, and a line of its own."""

from __future__ import annotations

import re
import time
from random import getrandbits
from typing import Any

from falcon.asgi import Request, Response

from api.http.asgi import BEGAN
from api.rendering.pool import Pool
from api.store import Gateway
from runtime import logs

log = logs.get("api")

HEADER = "X-Request-ID"
# Asked every few seconds by supervisors and collectors; of no interest while all is well.
QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
_ACCEPTABLE = re.compile(r"[A-Za-z0-9._:/+=-]{1,100}\Z")


class RequestId:
    """Takes the id that a proxy or a client gave, if it is fit to be logged, or makes one."""

    async def process_request(self, req: Request, resp: Response) -> None:
        given = req.get_header(HEADER)
        request_id = given if given and _ACCEPTABLE.match(given) else _new()
        logs.begin(request_id=request_id)
        resp.set_header(HEADER, request_id)


class NoStore:
    """Forbid caches to store any answer that does not say otherwise (RFC 9111, 5.2.2.5): most are about somebody."""

    async def process_response(self, _req: Request, resp: Response, _resource: Any, _succeeded: bool) -> None:
        """Set Cache-Control."""
        if resp.get_header("Cache-Control") is None:
            resp.set_header("Cache-Control", "no-store")


class Access:
    """One line for each request, when its answer begins. The first middleware, so that it sees every answer.

    The path is not in it, which may hold an address: the route is.
    """

    async def process_response(self, req: Request, resp: Response, _resource: Any, _succeeded: bool) -> None:
        status = resp.status_code
        # What went wrong is in the log however little of the rest is.
        tell = log.routine if status < 400 else log.info
        if status < 400 and req.path in QUIET:
            tell = log.debug
        tell(
            "request",
            method=req.method,
            route=req.uri_template,
            status=status,
            milliseconds=round((time.monotonic() - req.scope[BEGAN]) * 1000, 1),
        )


def _new() -> str:
    # It is no secret. To ask the kernel for each would be a chance for other threads to hold up the loop.
    return f"{getrandbits(128):032x}"


class Lifespan:
    """Closes the gateway and the renderers when the server stops, after the last request was answered."""

    def __init__(self, gateway: Gateway, renderers: Pool) -> None:
        self._gateway, self._renderers = gateway, renderers

    async def process_shutdown(self, _scope: Any, _event: Any) -> None:
        await self._renderers.close()
        self._gateway.close()
