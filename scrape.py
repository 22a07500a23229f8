"""What a scraper reads: the numbers of all processes that count together, as text."""

from __future__ import annotations

import gzip
import hmac
from collections.abc import Sequence
from typing import NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, gzip_accepted
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.openmetrics import exposition
from prometheus_client.registry import Collector

import cells
import logs
import metrics

log = logs.get("metrics")


class Page(NamedTuple):
    """What a scraper gets. `encoding`: of the content, or empty."""

    body: bytes
    type: str
    encoding: str


def kind(accept: str, encodings: str) -> tuple[bool, bool]:
    """What a scraper asks for with Accept and Accept-Encoding: whether OpenMetrics, and whether compressed."""
    return "application/openmetrics-text" in accept, gzip_accepted(encodings)


def page(openmetrics: bool, compressed: bool, *more: Collector) -> Page:
    """All numbers of all processes, and those of `more`, as text. It blocks, for some milliseconds."""
    directory = cells.directory()
    try:
        if directory is None:
            body, type = _written(more, metrics.registry, openmetrics)
        else:
            with cells.locked(directory):
                cells.bury(directory)
                everybody = MultiProcessCollector(None, str(directory))  # type: ignore[no-untyped-call]
                body, type = _written(more, everybody, openmetrics)
    except OSError as error:  # Somebody has removed it; what each process has counted is still in its memory.
        log.warning("metrics.of_one_process_only", error=str(error))
        body, type = _written(more, metrics.registry, openmetrics)
    # The answer is compressed once and read once: the quickest level will do.
    return Page(gzip.compress(body, 1), type, "gzip") if compressed else Page(body, type, "")


def is_token(authorization: str, token: str) -> bool:
    """Whether a header Authorization brings METRICS_TOKEN; it takes as long for each that does not."""
    scheme, _, given = authorization.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip(" ").encode(errors="replace"), token.encode())


def _written(told: Sequence[Collector], counted: Collector, openmetrics: bool) -> tuple[bytes, str]:
    among = CollectorRegistry()
    for collector in (*told, counted):
        among.register(collector)
    if openmetrics:
        return exposition.generate_latest(among), exposition.CONTENT_TYPE_LATEST  # type: ignore[no-untyped-call]
    return generate_latest(among), CONTENT_TYPE_PLAIN_0_0_4
