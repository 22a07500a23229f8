"""Traces, by OpenTelemetry: its API everywhere, its SDK and exporter (the extra `tracing`) where TRACING is on.

A notification carries the context that it was accepted in: the span of its POST or batch. What happens to it later,
in whatever process, is a child of that span, however often it is tried. Attributes follow the semantic conventions;
none holds an address, a subject, a body, or the words of an exception.

Where TRACING is off, the tracer is the API's no-op. To enter a no-op span costs 4 µs, to look for a current one 0.2:
`inner`, `shared` and whoever asks `is_on` look first, so that a request or a mail costs next to nothing more.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.util import find_spec
from typing import TYPE_CHECKING

from opentelemetry.context import Context
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    NoOpTracer,
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    get_current_span,
    set_span_in_context,
    use_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from settings import Settings, SettingsError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

NAME = "notification-system"
PARENT = 55  # characters of a traceparent: W3C Trace Context, 3.2.2
STATE = 512  # of a tracestate at least are propagated: 3.3.1.5
LINKS = 128  # of one span
NO_SPAN = nullcontext(INVALID_SPAN)

Attributes = Mapping[str, str | int | bool]
_w3c = TraceContextTextMapPropagator()


class _Process:
    """What makes the spans of this process, and what exports them, if anything does."""

    tracer: Tracer = NoOpTracer()
    provider: TracerProvider | None = None


def check(settings: Settings) -> None:
    """Raise a SettingsError where TRACING is on and the extra that it needs is not installed."""
    if settings.tracing == "on" and not all(map(_is_there, ("sdk.trace", "exporter.otlp.proto.http"))):
        raise SettingsError(
            "TRACING is on and OpenTelemetry is not installed: "
            "run `pip install 'notification-system[tracing]'`, or set TRACING=off"
        )


def start(settings: Settings, process: str) -> None:
    """Make spans where TRACING is on, and export them over OTLP/HTTP. Call it after the fork.

    The environment's OTEL_ variables say where to and how.
    """
    if settings.tracing == "off":
        return
    check(settings)
    # They quote the headers that a client has sent.
    for name in ("opentelemetry.trace.span", "opentelemetry.trace.propagation.tracecontext"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # A collector that is away is an error once it is given up, not each time that it is tried again.
    logging.getLogger("opentelemetry.exporter").setLevel(logging.ERROR)
    use(_exporting(process))


def use(provider: TracerProvider) -> None:
    """Let this provider make the spans from now on."""
    _Process.tracer, _Process.provider = provider.get_tracer(NAME), provider


def is_on() -> bool:
    """Return whether this process makes spans."""
    return _Process.provider is not None


def stop(settings: Settings) -> None:
    """Make no more spans, and export what is left: in no more than TRACING_FLUSH seconds."""
    provider = _Process.provider
    _Process.tracer, _Process.provider = NoOpTracer(), None
    if provider is not None:
        flushing = threading.Thread(target=provider.shutdown, name="flush-traces", daemon=True)
        flushing.start()
        flushing.join(settings.tracing_flush)


def begin(  # noqa: PLR0913, PLR0917 - as OpenTelemetry has it
    name: str,
    kind: SpanKind,
    attributes: Attributes,
    parent: Context | None = None,
    links: Iterable[str] = (),
    at: int | None = None,
) -> Span:
    """Begin a span that the caller ends.

    Args:
        parent: the context that it is a child of; by default the current one.
        links: carried contexts that it belongs to as much as to its parent.
        at: when it began, in nanoseconds since 1970; by default now.
    """
    linked = [Link(get_current_span(carrying(trace)).get_span_context()) for trace in list(links)[:LINKS]]
    return _Process.tracer.start_span(name, parent, kind, attributes, linked, at)


@contextmanager
def within(span: Span, *, ends: bool = True) -> Iterator[Span]:
    """Make the span the current one of this block, and end it with the block; if not `ends`, only with an error."""
    with use_span(span, record_exception=False, set_status_on_exception=False):
        try:
            yield span
        except BaseException as error:
            fail(span, type(error).__name__)
            span.end()
            raise
    if ends:
        span.end()


def inner(name: str, kind: SpanKind, attributes: Attributes) -> AbstractContextManager[Span]:
    """A span for a block within another span. What is done for a notification that nobody traces begins no trace."""
    if not get_current_span().get_span_context().is_valid:
        return NO_SPAN
    return within(begin(name, kind, attributes))


@contextmanager
def shared(name: str, kind: SpanKind, attributes: Attributes, traces: Iterable[str | None]) -> Iterator[None]:
    """Time a block that is run once for several notifications; see `made_for`."""
    if not is_on():
        yield
        return
    began, error = time.time_ns(), ""
    try:
        yield
    except Exception as raised:
        error = type(raised).__name__
        raise
    finally:
        made_for(traces, name, kind, attributes, began, error)


def made_for(  # noqa: PLR0913, PLR0917 - it makes a whole span
    traces: Iterable[str | None], name: str, kind: SpanKind, attributes: Attributes, began: int, error: str = ""
) -> None:
    """Make one span for what was done for several notifications, if any is traced. `began`: nanoseconds since 1970.

    It is a child of the first one's context and linked to the others': it happened once, and each waited for it.
    """
    concerned = [trace for trace in dict.fromkeys(traces) if trace and is_sampled(trace)]
    if concerned:
        span = begin(name, kind, attributes, carrying(concerned[0]), concerned[1:], began)
        if error:
            fail(span, error)
        span.end()


def fail(span: Span, type: str) -> None:
    """Mark the span as failed by an error of this type."""
    span.set_status(Status(StatusCode.ERROR))
    span.set_attribute("error.type", type)


def messages(operation: str, queue: str, count: int = 1) -> dict[str, str | int | bool]:
    """Return the attributes of what is done with so many notifications of a queue."""
    size = {"messaging.batch.message_count": count} if count > 1 else {}
    return {
        "messaging.system": "dramatiq",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": queue,
        **size,
    }


def given(traceparent: str | None, tracestate: str | None) -> Context:
    """Return the context that a request came with; an empty one where it is malformed (W3C Trace Context, 3.2, 4)."""
    headers = {"traceparent": traceparent or "", "tracestate": tracestate or ""}
    return _w3c.extract(headers, Context())


def headers(span: Span) -> dict[str, str]:
    """Return the headers that carry the span's context to whoever gets a request of ours."""
    made: dict[str, str] = {}
    _w3c.inject(made, set_span_in_context(span))
    if len(made.get("tracestate", "")) > STATE:
        made["tracestate"] = _shortened(made["tracestate"])
    return {name: value for name, value in made.items() if value}


def carried(span: Span) -> str:
    """Return a span's context as one text, for the notification's row: traceparent, and tracestate after a space."""
    return " ".join(headers(span).values())


def carrying(trace: str) -> Context:
    """Return the context that a notification carries."""
    return given(trace[:PARENT], trace[PARENT + 1 :])


def is_sampled(trace: str) -> bool:
    """Return whether the flags of a carried context say that it is recorded (3.2.2.5.1)."""
    return bool(int(trace[PARENT - 2 : PARENT], 16) & 1)


def _shortened(tracestate: str) -> str:
    """Leave out its long members, and then its last ones (3.3.1.5)."""
    members = [member for member in tracestate.split(",") if len(member) <= 128]
    while len(",".join(members)) > STATE:
        members.pop()
    return ",".join(members)


def _exporting(process: str) -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - of the extra
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - of the extra
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - of the extra
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - of the extra

    named = os.environ.get("OTEL_SERVICE_NAME") or "service.name" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    resource = Resource.create({} if named else {"service.name": f"{NAME}-{process}"})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def _is_there(module: str) -> bool:
    try:
        return find_spec(f"opentelemetry.{module}") is not None
    except ModuleNotFoundError:
        return False
