"""What a scraper reads: the numbers of all processes that count together, as text.

It imports prometheus_client: import it when `multiprocess.share` has been called, or never will be.
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
    """What a scraper gets. `encoding`: of the content, or empty."""

    body: bytes
    type: str
    encoding: str


class Collected(Collector):
    """Metrics that have been collected already."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def kind(accept: str, encodings: str) -> tuple[bool, bool]:
    """What a scraper asks for with Accept and Accept-Encoding: whether OpenMetrics, and whether compressed."""
    return "application/openmetrics-text" in accept, gzip_accepted(encodings)


def page(openmetrics: bool, compressed: bool, *more: Collector) -> Page:
    """All numbers of all processes, and those of `more`, as text. It blocks, for some milliseconds."""
    directory = multiprocess.directory()
    counted: Collector = families.registry()
    if directory is not None:
        try:
            counted = Collected(_shared(directory))
        except OSError as error:  # Somebody has removed it; what each process has counted is still in its memory.
            log.warning("metrics.of_one_process_only", error=str(error))
    body, type = _written((*more, counted), openmetrics)
    # The answer is compressed once and read once: the quickest level will do.
    return Page(gzip.compress(body, 1), type, "gzip") if compressed else Page(body, type, "")


def _shared(directory: Path) -> Iterable[Metric]:
    try:
        with locked(directory, within=multiprocess.WITHIN):
            merge.merge_dead(directory)
            return merge.collect(directory)
    except TimeoutError as error:  # Whoever has the lock has been stopped, and changes nothing now.
        log.warning("metrics.not_merged", error=str(error))
        return merge.collect(directory)


def _written(collectors: Sequence[Collector], openmetrics: bool) -> tuple[bytes, str]:
    among = CollectorRegistry()
    for collector in collectors:
        among.register(collector)
    if openmetrics:
        return strict.generate_latest(among), strict.CONTENT_TYPE_LATEST  # type: ignore[no-untyped-call]
    return generate_latest(among), CONTENT_TYPE_PLAIN_0_0_4
