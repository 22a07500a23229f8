"""An OTLP/HTTP collector: takes the spans that real processes export, and remembers them."""

from __future__ import annotations

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import NamedTuple, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Received(NamedTuple):
    """A span as it came; ids in hexadecimal, `parent` empty for a root."""

    service: str
    name: str
    trace: str
    id: str
    parent: str


class Collector:
    """Listens until the end of the block."""

    def __init__(self) -> None:
        self.spans: list[Received] = []
        collector = self

        class Export(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                collector._take(self.path, body)
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """To nobody."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Export)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="collector", daemon=True)

    @property
    def url(self) -> str:
        """For OTEL_EXPORTER_OTLP_ENDPOINT."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, _type: type[BaseException] | None, _exc: object, _trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def of(self, trace: str) -> list[Received]:
        """All of one trace."""
        return [span for span in self.spans if span.trace == trace]

    def _take(self, path: str, body: bytes) -> None:
        assert path == "/v1/traces", path
        for exported in ExportTraceServiceRequest.FromString(body).resource_spans:
            [service] = [a.value.string_value for a in exported.resource.attributes if a.key == "service.name"]
            self.spans += [
                Received(service, s.name, s.trace_id.hex(), s.span_id.hex(), s.parent_span_id.hex())
                for scope in exported.scope_spans
                for s in scope.spans
            ]
