"""Spans, by OpenTelemetry. Imported only where TRACING is on: see tracing.py.

A notification carries the context that it was accepted in: the span of its POST or batch. What happens to
it later, in whatever process, is a child of that span, however often it is tried. Attributes follow the
semantic conventions; none holds an address, a subject, a body, or the words of an exception.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import context as current
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

NAME = "notification-system"
PARENT = 55  # characters of a traceparent: W3C Trace Context, 3.2.2
STATE = 512  # of a tracestate at least are propagated: 3.3.1.5
LINKS = 128  # of one span

Attributes = Mapping[str, str | int | bool]
_w3c = TraceContextTextMapPropagator()


class _Process:
    """What `start` puts here."""

    provider: TracerProvider | None = None
    tracer: Tracer


def start(process: str) -> None:
    """Export over OTLP/HTTP, as the environment's OTEL_ variables say."""
    # They quote the headers that a client has sent.
    for name in ("opentelemetry.trace.span", "opentelemetry.trace.propagation.tracecontext"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # A collector that is away is an error once it is given up, not each time that it is tried again.
    logging.getLogger("opentelemetry.exporter").setLevel(logging.ERROR)
    named = os.environ.get("OTEL_SERVICE_NAME") or "service.name" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    resource = Resource.create({} if named else {"service.name": f"{NAME}-{process}"})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    use(provider)


def use(provider: TracerProvider) -> None:
    """From now on this one makes the spans."""
    _Process.provider = provider
    _Process.tracer = provider.get_tracer(NAME)


def stop(seconds: float) -> None:
    """Export what is left. A collector that does not answer keeps nobody longer than so many seconds."""
    if _Process.provider is not None:
        flushing = threading.Thread(target=_Process.provider.shutdown, name="flush-traces", daemon=True)
        flushing.start()
        flushing.join(seconds)


def begin(  # noqa: PLR0913, PLR0917 - as OpenTelemetry has it
    name: str,
    kind: SpanKind,
    attributes: Attributes,
    parent: Context | None = None,
    links: Iterable[str] = (),
    at: int | None = None,
) -> Span:
    """A span that somebody ends. `parent`: absent, it is the span that this runs within. `at`: nanoseconds since 1970.

    `links`: carried contexts that it belongs to as much as to its parent.
    """
    linked = [Link(get_current_span(carrying(trace)).get_span_context()) for trace in list(links)[:LINKS]]
    return _Process.tracer.start_span(name, parent, kind, attributes, linked, at)


@contextmanager
def within(span: Span) -> Iterator[Span]:
    """What is begun in this block is a child of the span. It is not ended here."""
    token = current.attach(set_span_in_context(span))
    try:
        yield span
    finally:
        current.detach(token)


@contextmanager
def spanning(name: str, kind: SpanKind, attributes: Attributes, parent: Context | None = None) -> Iterator[Span]:
    """A span for this block. Of an exception it tells the type."""
    span = begin(name, kind, attributes, parent)
    try:
        with within(span):
            yield span
    except BaseException as error:
        fail(span, type(error).__name__)
        raise
    finally:
        span.end()


@contextmanager
def inner(name: str, kind: SpanKind, attributes: Attributes) -> Iterator[Span]:
    """As `spanning`, but only within a span: what is done for a notification that nobody traces begins no trace."""
    if not get_current_span().get_span_context().is_valid:
        yield INVALID_SPAN
        return
    with spanning(name, kind, attributes) as span:
        yield span


@contextmanager
def shared(name: str, kind: SpanKind, attributes: Attributes, traces: Iterable[str | None]) -> Iterator[None]:
    """One span for what is done once for several notifications, if any of them is traced; `traces` is asked at the end.

    It is a child of the first one's context and linked to those of the others: it happened once, and each
    of them waited for it.
    """
    began, error = time.time_ns(), ""
    try:
        yield
    except Exception as raised:
        error = type(raised).__name__
        raise
    finally:
        concerned = [trace for trace in dict.fromkeys(traces) if trace and is_sampled(trace)]
        if concerned:
            span = begin(name, kind, attributes, carrying(concerned[0]), concerned[1:], began)
            if error:
                fail(span, error)
            span.end()


def statement(operation: str, table: str, count: int) -> dict[str, str | int | bool]:
    """The attributes of a statement for so many notifications."""
    size = {"db.operation.batch.size": count} if count > 1 else {}
    return {"db.system.name": "postgresql", "db.operation.name": operation, "db.collection.name": table, **size}


def messages(operation: str, queue: str, count: int = 1) -> dict[str, str | int | bool]:
    """The attributes of what is done with so many notifications of a queue."""
    size = {"messaging.batch.message_count": count} if count > 1 else {}
    return {
        "messaging.system": "dramatiq",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": queue,
        **size,
    }


def fail(span: Span, type: str) -> None:
    """What the span is of has failed, by an error of this type."""
    span.set_status(Status(StatusCode.ERROR))
    span.set_attribute("error.type", type)


def given(traceparent: str | None, tracestate: str | None) -> Context:
    """The context that a request came with; an empty one where it is malformed (W3C Trace Context, 3.2 and 4)."""
    headers = {"traceparent": traceparent or "", "tracestate": tracestate or ""}
    return _w3c.extract(headers, Context())


def headers(span: Span) -> dict[str, str]:
    """What a request of ours carries to whoever gets it."""
    made: dict[str, str] = {}
    _w3c.inject(made, set_span_in_context(span))
    if len(made.get("tracestate", "")) > STATE:
        made["tracestate"] = _shortened(made["tracestate"])
    return {name: value for name, value in made.items() if value}


def carried(span: Span) -> str:
    """The context of a span as one text, for the notification's row: traceparent, and tracestate after a space."""
    return " ".join(headers(span).values())


def carrying(trace: str) -> Context:
    """The context that a notification carries."""
    return given(trace[:PARENT], trace[PARENT + 1 :])


def is_sampled(trace: str) -> bool:
    """Whether its flags say that it is recorded (3.2.2.5.1)."""
    return bool(int(trace[PARENT - 2 : PARENT], 16) & 1)


def _shortened(tracestate: str) -> str:
    """Without its long members, and then without its last ones (3.3.1.5)."""
    members = [member for member in tracestate.split(",") if len(member) <= 128]
    while len(",".join(members)) > STATE:
        members.pop()
    return ",".join(members)
