"""W3C Trace Context, which comes with a request and goes on with the notification; and the end of a process."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from unittest import mock

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from runtime import tracing
from settings import read

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
ASKED = f"00-{TRACE}-{SPAN}-01"


@pytest.fixture
def spans() -> Iterator[None]:
    """Spans are made, and told nobody."""
    provider = TracerProvider(shutdown_on_exit=False)
    tracing.use(provider)
    yield
    tracing.stop()


@pytest.mark.parametrize(
    "given",
    [
        "",
        "garbage",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-zz",
        f"00-{TRACE}-{SPAN}-01,{ASKED}",
        f"00_{TRACE}_{SPAN}_01",
        "x" * 5000,
    ],
)
def test_a_malformed_traceparent_begins_a_new_trace(given: str) -> None:
    assert tracing.given(given, "a=b") == {}


@pytest.mark.usefixtures("spans")
@pytest.mark.parametrize("given", [ASKED, f"cc-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01-what-the-future-brings"])
def test_the_known_fields_of_a_later_version_of_traceparent_are_read(given: str) -> None:
    span = tracing.begin("x", SpanKind.SERVER, {}, tracing.given(given, None))

    assert re.fullmatch(rf"00-{TRACE}-[0-9a-f]{{16}}-01", tracing.carried(span))
    span.end()


@pytest.mark.usefixtures("spans")
@pytest.mark.parametrize("state", ["no pairs at all", "a=b,a=c", "A=b", ",".join(f"k{n}=v" for n in range(33))])
def test_a_malformed_tracestate_is_dropped_and_the_trace_continues(state: str) -> None:
    span = tracing.begin("x", SpanKind.SERVER, {}, tracing.given(ASKED, state))

    assert re.fullmatch(rf"00-{TRACE}-[0-9a-f]{{16}}-01", tracing.carried(span))
    span.end()


@pytest.mark.usefixtures("spans")
def test_a_long_tracestate_is_cut_between_members() -> None:
    state = ",".join(["long=" + "x" * 200, *(f"k{n:02}={'v' * 26}" for n in range(20))])
    span = tracing.begin("x", SpanKind.SERVER, {}, tracing.given(ASKED, state))

    kept = tracing.carried(span)[56:].split(",")
    span.end()
    assert kept == state.split(",")[1:17]
    assert len(",".join(kept)) <= 512


def test_trace_headers_of_a_client_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with mock.patch(
        "opentelemetry.exporter.otlp.proto.http.trace_exporter.OTLPSpanExporter", return_value=InMemorySpanExporter()
    ):
        tracing.start(read({"TRACING": "on"}).telemetry, "test")
    tracing.given(ASKED, "leak and no pair")
    tracing.given("leak" * 200, None)
    tracing.stop()

    assert caplog.text == ""


class Hanging(SpanExporter):
    """A collector that does not answer."""

    def __init__(self) -> None:
        self.let_go = threading.Event()

    def export(self, _spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.let_go.wait()
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self.let_go.wait()


def test_a_collector_that_does_not_answer_does_not_delay_the_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "FLUSH", 0.01)
    hanging = Hanging()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(hanging))
    tracing.use(provider)

    tracing.stop()

    assert not hanging.let_go.is_set()
    hanging.let_go.set()
