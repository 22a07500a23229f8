"""Middleware for every request: an id for its log lines and its answer, a line in the log, and no caching."""

from __future__ import annotations

import re
import time
from random import getrandbits
from typing import Any

from falcon.asgi import Request, Response

from api.http.asgi import BEGAN
from api.rendering.pool import Pool
from api.store import NotificationStore
from runtime import logs

log = logs.get("api")

HEADER = "X-Request-ID"
# Supervisors and collectors ask for these every few seconds: successes are logged at debug level.
QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
_ACCEPTABLE = re.compile(r"[A-Za-z0-9._:/+=-]{1,100}\Z")


class RequestId:
    """Take the id that a proxy or a client has sent, if it may be logged, or draw one."""

    async def process_request(self, req: Request, resp: Response) -> None:
        given = req.get_header(HEADER)
        request_id = given if given and _ACCEPTABLE.match(given) else _new()
        logs.begin(request_id=request_id)
        resp.set_header(HEADER, request_id)


class NoStore:
    """Forbid caches to store an answer that does not say otherwise (RFC 9111, 5.2.2.5): most hold personal data."""

    async def process_response(self, _req: Request, resp: Response, _resource: Any, _succeeded: bool) -> None:
        """Set Cache-Control where the resource has not."""
        if resp.get_header("Cache-Control") is None:
            resp.set_header("Cache-Control", "no-store")


class Access:
    """Log one line for each request when its answer begins. It comes first, so that it sees every answer.

    The line has the route instead of the path, which may contain an address.
    """

    async def process_response(self, req: Request, resp: Response, _resource: Any, _succeeded: bool) -> None:
        status = resp.status_code
        # LOG_SAMPLE leaves out successes only.
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
    # The id is not a secret. Asking the kernel for it would release the GIL and let other threads delay the event loop.
    return f"{getrandbits(128):032x}"


class Lifespan:
    """Close the store and the renderers when the server stops, after the last request was answered."""

    def __init__(self, store: NotificationStore, renderers: Pool) -> None:
        self._store, self._renderers = store, renderers

    async def process_shutdown(self, _scope: Any, _event: Any) -> None:
        await self._renderers.close()
        self._store.close()
