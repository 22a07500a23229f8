"""Middleware that charges the CPU time of requests to their clients."""

from __future__ import annotations

from typing import Any

from falcon.asgi import Request, Response

from api.access.cpu_budget import FREE, CpuBudget
from api.access.meter import METER, Meter
from api.http.asgi import BODILESS


class Metering:
    """Refuses the requests of clients that have used up their CPU time, before their bodies are read.

    Requests that only read are neither charged nor refused: their cost is in the database, whose threads are shared
    fairly anyway.
    """

    def __init__(self, cpu_budget: CpuBudget) -> None:
        self._cpu_budget = cpu_budget

    async def process_resource(self, req: Request, _resp: Response, _resource: object, _params: Any) -> None:
        """Raise the Problem 429, or charge the request to its client."""
        caller = getattr(req.context, "caller", None)
        if caller is not None and req.method not in BODILESS:
            self._cpu_budget.require(caller.client_id)
            req.scope[METER].charge(self._cpu_budget, caller.client_id)

    async def process_response(self, req: Request, resp: Response, _resource: object, _succeeded: bool) -> None:
        """Let an accepted request have FREE seconds without charge."""
        if req.method not in BODILESS and resp.status_code < 400:
            meter: Meter = req.scope[METER]
            meter.free = max(meter.free, FREE)
