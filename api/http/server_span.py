"""Middleware for TRACING=on that records a span for each request."""

from __future__ import annotations

import asyncio
from typing import Any

from falcon.asgi import Request, Response
from opentelemetry import context as current
from opentelemetry.trace import Span, SpanKind, format_trace_id, get_current_span, set_span_in_context

from api.http.requests import QUIET
from api.http.spans import CAME
from runtime import logs, tracing

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class ServerSpan:
    """Records a server span for each request, as a child of the span in its `traceparent`.

    The span has the route instead of the path, which may contain an address.
    """

    async def process_request(self, req: Request, _resp: Response) -> None:
        if req.path in QUIET:
            return
        commit = tracing.given(req.get_header("traceparent"), req.get_header("tracestate"))
        about = {"http.request.method": req.method if req.method in METHODS else "_OTHER", "url.scheme": req.scheme}
        req.context.span = span = tracing.begin(_name(req), SpanKind.SERVER, about, commit)
        asked = get_current_span(commit).get_span_context().is_valid
        req.context.outer = current.attach(current.set_value(CAME, asked, set_span_in_context(span)))
        logs.bind(trace_id=format_trace_id(span.get_span_context().trace_id))

    async def process_response(self, req: Request, resp: Response, _resource: Any, _succeeded: bool) -> None:
        span: Span | None = getattr(req.context, "span", None)
        if span is None:
            return
        if req.uri_template:
            span.update_name(f"{_name(req)} {req.uri_template}")
            span.set_attribute("http.route", req.uri_template)
        span.set_attribute("http.response.status_code", resp.status_code)
        if resp.status_code >= 500:
            tracing.fail(span, str(resp.status_code))
        span.end()
        current.detach(req.context.outer)

    async def process_shutdown(self, _scope: Any, _event: Any) -> None:
        """Export the remaining spans. It runs after the other middleware has shut down."""
        await asyncio.to_thread(tracing.stop)


def _name(req: Request) -> str:
    """Return the method for the span's name; HTTP for a method that a client has made up."""
    return req.method if req.method in METHODS else "HTTP"
