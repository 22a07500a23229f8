"""How long each request took, by where it went: labels are this system's own words, never the client's."""

from __future__ import annotations

import time
from typing import Any

from falcon.asgi import Request, Response
from prometheus_client import Histogram

from api.http.asgi import BEGAN
from runtime import metrics

METHODS = {m: m for m in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")}
NOWHERE = "(none)"  # there is no such route, or who asked was refused before one was looked for
LONG_POLL = " (long poll)"  # which is to take long


class Measuring:
    """The first of the middleware, so that it sees each answer when nothing more is done to it."""

    def __init__(self) -> None:
        self._found: dict[tuple[str | None, str, Any], Histogram] = {}

    async def process_response(self, req: Request, resp: Response, _resource: object, _succeeded: bool) -> None:
        template = req.uri_template
        if template and req.query_string and "wait=" in req.query_string:
            template += LONG_POLL
        # What makes the key is bounded: statuses and templates are ours.
        key = template, METHODS.get(req.method, metrics.OTHER), resp.status
        found = self._found.get(key) or self._find(key, resp.status_code)
        found.observe(time.monotonic() - req.scope[BEGAN])

    def _find(self, key: tuple[str | None, str, Any], code: int) -> Histogram:
        template, method, _ = key
        self._found[key] = found = metrics.requests[template or NOWHERE, method, f"{code // 100}xx"]
        return found
