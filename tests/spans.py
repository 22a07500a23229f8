"""The spans that this process makes, kept for a test to look at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import DEFAULT_ON, Sampler

from runtime import tracing
from tests.eventually import eventually


class Spans:
    """The spans that were made since the test began."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter

    @property
    def all(self) -> tuple[ReadableSpan, ...]:
        return tuple(self._exporter.get_finished_spans())

    @property
    def names(self) -> list[str]:
        return [span.name for span in self.all]

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.all if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        """The only one of this name."""
        eventually(lambda: self.named(name), saying=lambda: self.names)
        [span] = self.named(name)
        return span

    def children(self, parent: ReadableSpan) -> list[str]:
        return [s.name for s in self.all if s.parent and s.parent.span_id == id_of(parent)]


@contextmanager
def recorded(sampler: Sampler = DEFAULT_ON) -> Iterator[Spans]:
    """Make spans in this block, and keep those that end."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.use(provider)
    try:
        yield Spans(exporter)
    finally:
        tracing.stop()


def id_of(span: ReadableSpan) -> int:
    return span.get_span_context().span_id  # type: ignore[union-attr]


def trace_of(span: ReadableSpan) -> str:
    return f"{span.get_span_context().trace_id:032x}"  # type: ignore[union-attr]


def child(of: ReadableSpan, span: ReadableSpan) -> bool:
    return span.parent is not None and span.parent.span_id == id_of(of) and trace_of(span) == trace_of(of)
