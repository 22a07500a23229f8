"""Histogram of request durations by route, method and status. Labels never contain a client's words."""

from __future__ import annotations

import time
from typing import Any

from falcon.asgi import Request, Response
from prometheus_client import Histogram

from api.http.asgi import BEGAN
from runtime import metrics

METHODS = {m: m for m in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")}
NOWHERE = "(none)"  # the path has no route, or the request was refused before it was routed
LONG_POLL = " (long poll)"  # a route of its own, because such requests take long on purpose


class Measuring:
    """Middleware that observes each request. It comes first, so that it sees the final answer."""

    def __init__(self) -> None:
        self._found: dict[tuple[str | None, str, Any], Histogram] = {}

    async def process_response(self, req: Request, resp: Response, _resource: object, _succeeded: bool) -> None:
        template = req.uri_template
        if template and req.query_string and "wait=" in req.query_string:
            template += LONG_POLL
        # The number of keys is limited, because statuses and templates are the API's own.
        key = template, METHODS.get(req.method, metrics.OTHER), resp.status
        found = self._found.get(key) or self._find(key, resp.status_code)
        found.observe(time.monotonic() - req.scope[BEGAN])

    def _find(self, key: tuple[str | None, str, Any], code: int) -> Histogram:
        template, method, _ = key
        self._found[key] = found = metrics.requests[template or NOWHERE, method, f"{code // 100}xx"]
        return found
