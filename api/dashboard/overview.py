"""Serve the overview at / and its live updates at /live."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import orjson
from falcon.asgi import Request, Response

from actors.queue.priorities import in_use
from api.access.auth import Caller, require
from api.dashboard import banner
from api.dashboard.page import render, show
from api.dashboard.sampler import Looker, Sampler
from api.dashboard.sampling import Sample
from api.dashboard.visitor import may_choose
from api.http.asgi import LEFT
from db import obstacles
from db.live_stats import COUNTED
from db.obstacles import OF_CLIENTS, Obstacles

AGAIN = 3_000  # milliseconds after which a browser reconnects
_AWAY = b"event: away\ndata:\n\n"


class Overview:
    """GET: the overview page."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler

    async def on_get(self, req: Request, resp: Response) -> None:
        caller = require(req, "read")
        sample = await self._sampler.now()
        req.context.obstacles = _obstacles(sample)
        show(req, resp, "overview.html", **_values(sample, caller))

    on_head = on_get


class Live:
    """GET: server-sent events. The first is `history`, with a point for each kept sample; then `sample`s with HTML."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler
        # The newest sample, and its events: viewers who may see the same share one rendering.
        self._sample: Sample | None = None
        self._made: dict[tuple[bool, int | None], bytes] = {}

    async def on_get(self, req: Request, resp: Response) -> None:
        caller = require(req, "read")
        self._sampler.check_room()
        await self._sampler.now()
        resp.content_type = "text/event-stream"
        resp.set_header("X-Accel-Buffering", "no")  # or nginx buffers the events
        looker = Looker(req.context.visitor.digest, req.scope[LEFT])
        resp.stream = self._events(looker, caller)

    async def _events(self, looker: Looker, caller: Caller) -> AsyncIterator[bytes]:
        points = [_point(sample) for sample in self._sampler.history if sample.rates]
        yield f"retry: {AGAIN}\n".encode() + _event("history", points)
        async for sample in self._sampler.samples(looker):
            yield self._told(sample, caller) if sample else _AWAY

    def _told(self, sample: Sample, caller: Caller) -> bytes:
        if self._sample is not sample:
            self._sample, self._made = sample, {}
        found = banner.seen_by(caller, _obstacles(sample))
        own = any(pause.kind in OF_CLIENTS for pause in found.pauses)
        key = may_choose(caller), caller.client_id if own else None
        if key not in self._made:
            html = render("now.html", **_values(sample, caller))
            top = render("banner.html", me=caller, obstacles=found) if found else ""
            self._made[key] = _event("sample", {"point": _point(sample), "html": html, "banner": top})
        return self._made[key]


def _event(name: str, value: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(value))


def _point(sample: Sample) -> list[float | None]:
    """Return a point of the charts: Unix time; accepted, sent, retried, failed per second; age of the oldest due."""
    rates = sample.rates
    each: list[float | None] = [rates.accepted, rates.sent, rates.retried, rates.failed] if rates else [None] * 4
    return [round(sample.live_stats.at, 1), *(None if v is None else round(v, 2) for v in each), _oldest(sample)]


def _oldest(sample: Sample) -> float:
    return round(max((backlog.oldest_due for backlog in sample.live_stats.priorities.values()), default=0.0), 1)


def _obstacles(sample: Sample) -> Obstacles:
    seen = sample.live_stats
    now = datetime.fromtimestamp(seen.at, UTC)
    return obstacles.of(seen.providers, seen.workers, sample.pauses, now, seen.refused_domains)


def _values(sample: Sample, caller: Caller) -> dict[str, Any]:
    backlogs = sample.live_stats.priorities
    return {
        "sample": sample,
        "sees_all": may_choose(caller),  # host names are for admins
        "oldest": _oldest(sample),
        "waiting": sum(backlog.waiting for backlog in backlogs.values()),
        "counted": COUNTED,
        "more": any(backlog.waiting >= COUNTED for backlog in backlogs.values()),
        "queues": [
            (name, backlogs.get(name), (sample.depths or {}).get(name))
            for name in in_use(backlogs, sample.depths or {})
        ],
        "pauses": sample.pauses if may_choose(caller) else _obstacles(sample).for_client(caller.client_id).pauses,
        "alive": [worker for worker in sample.live_stats.workers if worker.alive],
    }
