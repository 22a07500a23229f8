"""Settings of logs, traces and metrics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from settings.errors import SettingsError
from settings.group import Group, choice, fault, number, secret, text
from settings.hosts import host_and_port, is_loopback
from settings.public import SHORTEST_SECRET


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetrySettings(Group):
    """Read by runtime, and by everything that serves /metrics."""

    log_level: str = choice("LOG_LEVEL", "info", "debug", "warning", "error")
    """The least severe log lines that are written."""
    log_format: str = choice("LOG_FORMAT", "auto", "json", "console")
    """`json`, `console`, or `auto`, which is `console` if stderr is a terminal and `json` otherwise."""
    log_sample: float = number("LOG_SAMPLE", 1, "share", low=0, high=1)
    """The share that is kept of the log lines that come with every mail or request and report no trouble."""
    tracing: str = choice("TRACING", "off", "on")
    """`on` exports OpenTelemetry traces."""
    metrics_dir: str = text("METRICS_DIR", "directory")
    """The directory for the metrics of several commands of this machine, so that they have one `/metrics`. By default
    each `gunicorn` and `dramatiq` command has a directory of its own."""
    metrics_bind: str = text("METRICS_BIND", "host:port")
    """The address on which the workers of this machine serve `/metrics`."""
    metrics_token: str = secret("METRICS_TOKEN")
    """The token that Prometheus sends as `Authorization: Bearer`."""
    metrics_cache: float = number("METRICS_CACHE", 1, "seconds", low=0, high=60)
    """`/metrics` is collected again after this long."""

    @property
    def metrics_address(self) -> tuple[str, int] | None:
        """METRICS_BIND as host and port; None if the workers serve no metrics."""
        return host_and_port("METRICS_BIND", self.metrics_bind, "127.0.0.1:9191") if self.metrics_bind else None

    def faults(self) -> Iterator[str]:
        token = self.metrics_token
        if token and (len(token) < SHORTEST_SECRET or any(not 32 < ord(c) < 127 for c in token)):
            yield (
                f"METRICS_TOKEN is malformed: give at least {SHORTEST_SECRET} characters without spaces, "
                "for example made with `openssl rand -hex 32`"
            )
        yield from fault(self._check_bind)

    def _check_bind(self) -> None:
        address = self.metrics_address
        if address and not self.metrics_token and not is_loopback(address[0]):
            raise SettingsError(
                "METRICS_BIND can be reached from other machines: set METRICS_TOKEN, which the scraper must send, "
                "or give 127.0.0.1:9191"
            )
