"""Write the metrics of all processes that share a directory as text for a scraper.

This module imports prometheus_client. Import it after `multiprocess.share`, or in a process that never calls that.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, gzip_accepted
from prometheus_client.openmetrics import exposition as strict
from prometheus_client.registry import Collector

from runtime import logs
from runtime.metrics import families, merge, multiprocess
from runtime.metrics.directory import locked

log = logs.get("metrics")


class Page(NamedTuple):
    """Response to a scraper. `encoding`: the Content-Encoding, or empty."""

    body: bytes
    type: str
    encoding: str


class Collected(Collector):
    """Collector of metrics that were collected before."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def kind(accept: str, encodings: str) -> tuple[bool, bool]:
    """Return whether a scraper accepts OpenMetrics, and whether it accepts gzip, from its request headers."""
    return "application/openmetrics-text" in accept, gzip_accepted(encodings)


def page(openmetrics: bool, compressed: bool, *more: Collector) -> Page:
    """Return the metrics of all processes, and of the collectors `more`, as text. It blocks for some milliseconds."""
    directory = multiprocess.directory()
    counted: Collector = families.registry()
    if directory is not None:
        try:
            counted = Collected(_shared(directory))
        except OSError as error:  # The directory was removed; this process still has its own values in memory.
            log.warning("metrics.of_one_process_only", error=str(error))
    body, type = _written((*more, counted), openmetrics)
    # The fastest level is enough: the answer is read only once.
    return Page(gzip.compress(body, 1), type, "gzip") if compressed else Page(body, type, "")


def _shared(directory: Path) -> Iterable[Metric]:
    try:
        with locked(directory, within=multiprocess.WITHIN):
            merge.merge_dead(directory)
            return merge.collect(directory)
    except TimeoutError as error:  # The process with the lock is stopped by a signal, and changes nothing now.
        log.warning("metrics.not_merged", error=str(error))
        return merge.collect(directory)


def _written(collectors: Sequence[Collector], openmetrics: bool) -> tuple[bytes, str]:
    among = CollectorRegistry()
    for collector in collectors:
        among.register(collector)
    if openmetrics:
        return strict.generate_latest(among), strict.CONTENT_TYPE_LATEST  # type: ignore[no-untyped-call]
    return generate_latest(among), CONTENT_TYPE_PLAIN_0_0_4
