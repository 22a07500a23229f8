"""Serve the overview at / and its live updates at /live."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson
from falcon.asgi import Request, Response

from api.access.auth import Caller, require
from api.dashboard.page import render, show
from api.dashboard.sampler import Looker, Sampler
from api.dashboard.sampling import Sample
from api.http.asgi import LEFT
from db.live_stats import COUNTED

AGAIN = 3_000  # milliseconds after which a browser reconnects
_AWAY = b"event: away\ndata:\n\n"


class Overview:
    """GET: the overview page."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler

    async def on_get(self, req: Request, resp: Response) -> None:
        caller = require(req, "read")
        sample = await self._sampler.now()
        show(req, resp, "overview.html", **_told(sample, caller))

    on_head = on_get


class Live:
    """GET: server-sent events. The first is `history`, with a point for each kept sample; then `sample`s with HTML."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler
        # By `sees_all`: viewers with the same rights share one rendering of a sample.
        self._made: dict[bool, tuple[Sample, bytes]] = {}

    async def on_get(self, req: Request, resp: Response) -> None:
        caller = require(req, "read")
        self._sampler.check_room()
        await self._sampler.now()
        resp.content_type = "text/event-stream"
        resp.set_header("X-Accel-Buffering", "no")  # or nginx buffers the events
        looker = Looker(req.context.visitor.digest, req.scope[LEFT])
        resp.stream = self._events(looker, sees_all=_sees_all(caller))

    async def _events(self, looker: Looker, *, sees_all: bool) -> AsyncIterator[bytes]:
        points = [_point(sample) for sample in self._sampler.history if sample.rates]
        yield f"retry: {AGAIN}\n".encode() + _event("history", points)
        async for sample in self._sampler.samples(looker):
            yield self._told(sample, sees_all) if sample else _AWAY

    def _told(self, sample: Sample, sees_all: bool) -> bytes:
        made = self._made.get(sees_all)
        if made is None or made[0] is not sample:
            html = render("now.html", **_values(sample, sees_all))
            made = self._made[sees_all] = sample, _event("sample", {"point": _point(sample), "html": html})
        return made[1]


def _event(name: str, value: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(value))


def _point(sample: Sample) -> list[float | None]:
    """Return a point of the charts: Unix time; accepted, sent, retried, failed per second; age of the oldest due."""
    rates = sample.rates
    each: list[float | None] = [rates.accepted, rates.sent, rates.retried, rates.failed] if rates else [None] * 4
    return [round(sample.live_stats.at, 1), *(None if v is None else round(v, 2) for v in each), _oldest(sample)]


def _oldest(sample: Sample) -> float:
    return round(max((backlog.oldest_due for backlog in sample.live_stats.priorities.values()), default=0.0), 1)


def _sees_all(caller: Caller) -> bool:
    """Return whether the caller may see host names and the pauses of other clients."""
    return "admin" in caller.scopes and not caller.sandbox


def _told(sample: Sample, caller: Caller) -> dict[str, Any]:
    return _values(sample, _sees_all(caller))


def _values(sample: Sample, sees_all: bool) -> dict[str, Any]:
    backlogs = sample.live_stats.priorities
    return {
        "sample": sample,
        "sees_all": sees_all,
        "oldest": _oldest(sample),
        "waiting": sum(backlog.waiting for backlog in backlogs.values()),
        "counted": COUNTED,
        "more": any(backlog.waiting >= COUNTED for backlog in backlogs.values()),
        "queues": [(name, backlogs.get(name), (sample.depths or {}).get(name)) for name in _QUEUES],
        "pauses": [pause for pause in sample.pauses if sees_all or pause.kind == "channel"],
        "alive": [worker for worker in sample.live_stats.workers if worker.alive],
    }


_QUEUES = ("high", "normal", "bulk", "callback")
