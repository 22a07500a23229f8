"""Serve the workers' /metrics at METRICS_BIND: one process does it for all that share a metrics directory."""

from __future__ import annotations

import socket
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar

from runtime import logs
from runtime.metrics import multiprocess
from runtime.metrics.directory import locked
from runtime.metrics.tokens import is_token
from settings.telemetry import TelemetrySettings

log = logs.get("metrics")

PAUSE = 5.0  # seconds until an occupied port is tried again
REQUEST_TIMEOUT = 5.0  # seconds for a scraper to send its request: scrapers are served one after the other


class Exporter(threading.Thread):
    """Thread that waits until no other process of the directory serves /metrics, and then serves it."""

    def __init__(self, settings: TelemetrySettings, address: tuple[str, int]) -> None:
        super().__init__(name="exporter", daemon=True)
        self._address = address
        self._token = settings.metrics_token

    def run(self) -> None:
        directory = multiprocess.directory()
        if directory is None:
            self._serve()
        else:
            with locked(directory, f"exporter-{self._address[1]}"):
                self._serve()

    def _serve(self) -> None:
        answering = type("Answering", (_Answering,), {"token": self._token})
        family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        server = type("Server", (_Server,), {"address_family": family})
        told = False
        while True:
            try:
                listening = server(self._address, answering)
                break
            except OSError as error:
                if not told:
                    log.warning(
                        "metrics.port_not_to_be_had", error=str(error), fix="another METRICS_BIND, or METRICS_DIR"
                    )
                told = True
            time.sleep(PAUSE)
        log.info("metrics.served", address=self._address[0], port=self._address[1])
        listening.serve_forever()


class _Server(HTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore it: the scraper closed the connection."""


class _Answering(BaseHTTPRequestHandler):
    timeout = REQUEST_TIMEOUT
    token: ClassVar[str] = ""

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != "/metrics":
            self._say(HTTPStatus.NOT_FOUND, b"Not found: this server has only /metrics.\n", {})
        elif not self._may():
            self._say(
                HTTPStatus.UNAUTHORIZED,
                b"Send METRICS_TOKEN: Authorization: Bearer <token>.\n",
                {"WWW-Authenticate": "Bearer"},
            )
        else:
            from runtime.metrics.exposition import kind, page  # noqa: PLC0415 - imports prometheus_client

            answer = page(*kind(self.headers.get("Accept", ""), self.headers.get("Accept-Encoding", "")))
            encoding = {"Content-Encoding": answer.encoding} if answer.encoding else {}
            self._say(HTTPStatus.OK, answer.body, {"Content-Type": answer.type, "Vary": "Accept-Encoding", **encoding})

    def log_message(self, format: str, *args: Any) -> None:
        """Do not log requests."""

    def _may(self) -> bool:
        return not self.token or is_token(self.headers.get("Authorization", ""), self.token)

    def _say(self, status: HTTPStatus, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "text/plain; charset=utf-8", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
