"""Declare a metric with its labels, and find its series by the values of its labels.

prometheus_client is imported when the first series is made. It decides at its import, by the environment variable
PROMETHEUS_MULTIPROC_DIR, whether values are kept in files that other processes can read; `multiprocess.share` sets
that variable when a worker process starts, after our own modules have been imported.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
    from prometheus_client.metrics import MetricWrapperBase

Metric = TypeVar("Metric", bound="MetricWrapperBase")

MOST = 500  # series of one metric in one process, a histogram's buckets counted as one
OTHER = "other"
VARIABLES = ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir")  # the second one is deprecated and still read

_making = threading.RLock()


class _Process:
    """State of this process."""

    shares = False  # its values are kept in files: set by `multiprocess.share`
    registry: CollectorRegistry | None = None


class Family(dict[object, Metric], Generic[Metric]):
    """One metric's series by the values of its labels: a string where there is one label, else a tuple.

    Found again for a tenth of what prometheus_client's own `labels` costs.
    """

    def __init__(self, kind: str, name: str, documentation: str, labels: tuple[str, ...], **options: object) -> None:
        """`kind`: name of a class of prometheus_client; `options`: what it takes besides."""
        super().__init__()
        self._kind, self._declared, self._options = kind, (f"notify_{name}", documentation, labels), options
        self._metric: Metric | None = None

    @property
    def metric(self) -> Metric:
        """Return the metric of prometheus_client, made at the first call."""
        with _making:
            if self._metric is None:
                self._metric = getattr(client(), self._kind)(*self._declared, registry=registry(), **self._options)
            return self._metric

    def __missing__(self, values: str | tuple[str, ...]) -> Metric:
        wanted = (values,) if isinstance(values, str) else values
        if len(self) >= MOST:
            # Not kept under what was asked for, or this would grow instead of the series.
            return self.metric.labels(*[OTHER] * len(wanted))
        return self.setdefault(values, self.metric.labels(*wanted))


def counter(name: str, documentation: str, *labels: str) -> Family[Counter]:
    """Declare the counter notify_<name>_total."""
    return Family("Counter", name, documentation, labels)


def histogram(name: str, documentation: str, buckets: tuple[float, ...], *labels: str) -> Family[Histogram]:
    """Declare the histogram notify_<name> with these upper bounds of its buckets."""
    return Family("Histogram", name, documentation, labels, buckets=buckets)


def gauge(name: str, documentation: str, *labels: str, mode: str) -> Family[Gauge]:
    """Declare the gauge notify_<name>; `mode` says how one number is made of those of several processes."""
    return Family("Gauge", name, documentation, labels, multiprocess_mode=mode)


def registry() -> CollectorRegistry:
    """Return the registry of this process's metrics. Metrics of which no series was wanted yet are not in it."""
    with _making:
        if _Process.registry is None:
            _Process.registry = client().CollectorRegistry()
        return _Process.registry


def client() -> Any:
    """Import prometheus_client.

    A process that does not share its values, such as a command of the CLI, must not write into a directory that some
    other program's environment names.
    """
    if not _Process.shares and "prometheus_client" not in sys.modules:
        for name in VARIABLES:
            os.environ.pop(name, None)
    return importlib.import_module("prometheus_client")


def keep_in(directory: str) -> None:
    """Keep this process's values in files in `directory`. Call it before the first import of prometheus_client."""
    os.environ[VARIABLES[0]] = directory
    _Process.shares = True
