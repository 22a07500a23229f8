"""What stands for parts of the API where TRACING is on: a span for each request, and what it leads to."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from typing import Any

from falcon.asgi import Request, Response
from opentelemetry import context as current
from opentelemetry.trace import Span, SpanKind, format_trace_id, get_current_span, set_span_in_context

import logs
import settings
import telemetry
from actors.bell import Bell, Ring
from actors.lanes import LANES
from api.gateway import Gateway
from api.requests import QUIET, RequestId
from db.batches import Answer, Batch
from db.drafts import Group
from db.idempotency import Outcome, Post, Refusal, Stored
from db.records import Accepted, Draft
from settings import Settings

# In the context of a request: it came with a context of its own, which is carried on even where it is not recorded.
CAME = "notification-system.came-with-a-context"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class TracedRequest(RequestId):
    """A server's span for each request, child of the one whose `traceparent` it brings.

    The path is not in it, which may hold an address: the route is.
    """

    async def process_request(self, req: Request, resp: Response) -> None:
        await super().process_request(req, resp)
        if req.path in QUIET:
            return
        came = telemetry.given(req.get_header("traceparent"), req.get_header("tracestate"))
        method = req.method if req.method in METHODS else "_OTHER"
        about = {"http.request.method": method, "url.scheme": req.scheme}
        req.context.span = span = telemetry.begin(method, SpanKind.SERVER, about, came)
        asked = get_current_span(came).get_span_context().is_valid
        # Never detached: the next request on this connection brings another.
        current.attach(current.set_value(CAME, asked, set_span_in_context(span)))
        logs.bind(trace_id=format_trace_id(span.get_span_context().trace_id))

    async def process_response(self, req: Request, resp: Response, _resource: Any, _succeeded: bool) -> None:
        span: Span | None = getattr(req.context, "span", None)
        if span is None:
            return
        if req.uri_template:
            span.update_name(f"{req.method} {req.uri_template}")
            span.set_attribute("http.route", req.uri_template)
        span.set_attribute("http.response.status_code", resp.status_code)
        if resp.status_code >= 500:
            telemetry.fail(span, str(resp.status_code))
        span.end()

    async def process_shutdown(self, _scope: Any, _event: Any) -> None:
        """The last of all: what the gateway does at its end is exported too."""
        await asyncio.to_thread(telemetry.stop, settings.load().tracing_flush)


class TracedGateway(Gateway):
    """A span for what each request has stored, whose context the rows carry, and one for each statement."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._bell: TracedBell = TracedBell(settings)

    async def accept(self, draft: Draft) -> Accepted:
        with telemetry.inner(*_creation(draft.lane, 1)) as span:
            accepted = await super().accept(_carrying(draft, span))
            _identify(span, accepted.id)
            return accepted

    async def accept_once(self, post: Post) -> Outcome:
        with telemetry.inner(*_creation(post.draft.lane, 1)) as span:
            outcome = await super().accept_once(post._replace(draft=_carrying(post.draft, span)))
            if isinstance(outcome, Stored):
                _identify(span, outcome.accepted.id)
            return outcome

    async def accept_batch(self, batch: Batch) -> Answer | Refusal:
        posts = [item for item in batch.items if isinstance(item, Post)]
        lane = posts[0].draft.lane if posts else "normal"
        with telemetry.inner(*_creation(lane, len(posts))) as span:
            items = [
                item._replace(draft=_carrying(item.draft, span)) if isinstance(item, Post) else item
                for item in batch.items
            ]
            return await super().accept_batch(batch._replace(items=items))

    def _accept(self, drafts: Sequence[Draft]) -> list[Accepted]:
        about = telemetry.statement("INSERT", "notifications", len(drafts))
        with telemetry.shared("INSERT notifications", SpanKind.CLIENT, about, [draft.trace for draft in drafts]):
            return super()._accept(drafts)

    def _accept_once(self, posts: Sequence[Post]) -> list[Outcome]:
        about = telemetry.statement("INSERT", "notifications", len(posts))
        with telemetry.shared("INSERT notifications", SpanKind.CLIENT, about, [post.draft.trace for post in posts]):
            return super()._accept_once(posts)

    def _accept_batch(self, batch: Batch) -> Answer | Refusal:
        traces = [item.draft.trace for item in batch.items if isinstance(item, Post)]
        about = telemetry.statement("INSERT", "notifications", len(traces))
        with telemetry.shared("INSERT notifications", SpanKind.CLIENT, about, traces):
            return super()._accept_batch(batch)

    def _ring(self, accepted: Sequence[Accepted], drafts: Sequence[Draft], left: Set[Group]) -> None:
        with self._bell.concerning(accepted, drafts):
            super()._ring(accepted, drafts, left)


class _TracedRing(Ring):
    """Knows whom it is for."""

    traces: Sequence[str | None] = ()


class _Concerned(threading.local):
    """The traces of those that this thread is ringing for, by their ids."""

    traces: dict[int, str | None]

    def __init__(self) -> None:
        self.traces = {}


class TracedBell(Bell):
    """A span for each time that it rings."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._concerned = _Concerned()

    @contextmanager
    def concerning(self, accepted: Sequence[Accepted], drafts: Sequence[Draft]) -> Iterator[None]:
        """What is rung in this block is rung for these."""
        traces = {stored.id: draft.trace for stored, draft in zip(accepted, drafts, strict=True)}
        self._concerned.traces = traces
        try:
            yield
        finally:
            self._concerned.traces = {}

    def ring(self, ring: Ring) -> None:
        traced = _TracedRing(*ring)
        traced.traces = [self._concerned.traces.get(id) for id in ring.ids]
        super().ring(traced)

    def _ring(self, rings: Sequence[Ring]) -> Sequence[None]:
        traces = [trace for ring in rings if isinstance(ring, _TracedRing) for trace in ring.traces]
        queue = LANES[rings[0].lane].queue
        about = telemetry.messages("send", queue, sum(len(ring.ids) for ring in rings))
        with telemetry.shared(f"send {queue}", SpanKind.PRODUCER, about, traces):
            return super()._ring(rings)


def _creation(lane: str, count: int) -> tuple[str, SpanKind, telemetry.Attributes]:
    queue = LANES[lane].queue
    return f"create {queue}", SpanKind.PRODUCER, telemetry.messages("create", queue, count)


def _carrying(draft: Draft, span: Span) -> Draft:
    """What nobody records is carried only where a client has asked for it."""
    if span.is_recording() or current.get_value(CAME):
        return draft._replace(trace=telemetry.carried(span) or None)
    return draft


def _identify(span: Span, id: int) -> None:
    span.set_attribute("messaging.message.id", str(id))
