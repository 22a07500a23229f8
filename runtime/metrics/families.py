"""Declare metrics with their labels, and look up series by the values of the labels.

prometheus_client is imported when the first series is created. At its import it decides by the environment variable
PROMETHEUS_MULTIPROC_DIR whether values are kept in files that other processes can read. `multiprocess.share` sets the
variable when a process starts, after our own modules have been imported.
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

MOST = 500  # series of one metric in one process; the buckets of a histogram count as one series
OTHER = "other"
VARIABLES = ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir")  # the second one is deprecated, but still read

_making = threading.RLock()


class _Process:
    """State of this process."""

    shares = False  # True if values are kept in files; set through `keep_in`
    registry: CollectorRegistry | None = None


class Family(dict[object, Metric], Generic[Metric]):
    """Series of one metric by the values of its labels: a string for a single label, else a tuple.

    A look-up costs a tenth of prometheus_client's own `labels`.
    """

    def __init__(self, kind: str, name: str, documentation: str, labels: tuple[str, ...], **options: object) -> None:
        """`kind`: name of a class of prometheus_client. `options`: further arguments for it."""
        super().__init__()
        self._kind, self._declared, self._options = kind, (f"notify_{name}", documentation, labels), options
        self._metric: Metric | None = None

    @property
    def metric(self) -> Metric:
        """Metric of prometheus_client, created at the first access."""
        with _making:
            if self._metric is None:
                self._metric = getattr(client(), self._kind)(*self._declared, registry=registry(), **self._options)
            return self._metric

    def __missing__(self, values: str | tuple[str, ...]) -> Metric:
        wanted = (values,) if isinstance(values, str) else values
        if len(self) >= MOST:
            # Not stored under the wanted values, or this dictionary would grow without bound.
            return self.metric.labels(*[OTHER] * len(wanted))
        return self.setdefault(values, self.metric.labels(*wanted))


def counter(name: str, documentation: str, *labels: str) -> Family[Counter]:
    """Declare the counter notify_<name>_total."""
    return Family("Counter", name, documentation, labels)


def histogram(name: str, documentation: str, buckets: tuple[float, ...], *labels: str) -> Family[Histogram]:
    """Declare the histogram notify_<name>. `buckets`: upper bounds."""
    return Family("Histogram", name, documentation, labels, buckets=buckets)


def gauge(name: str, documentation: str, *labels: str, mode: str) -> Family[Gauge]:
    """Declare the gauge notify_<name>. `mode`: prometheus_client's rule for combining several processes."""
    return Family("Gauge", name, documentation, labels, multiprocess_mode=mode)


def registry() -> CollectorRegistry:
    """Return the registry of this process's metrics. It contains only metrics that have a series."""
    with _making:
        if _Process.registry is None:
            _Process.registry = client().CollectorRegistry()
        return _Process.registry


def client() -> Any:
    """Import prometheus_client and return it.

    A process that does not share its values, such as a CLI command, must not write into a directory that the
    environment names for another program.
    """
    if not _Process.shares and "prometheus_client" not in sys.modules:
        for name in VARIABLES:
            os.environ.pop(name, None)
    return importlib.import_module("prometheus_client")


def keep_in(directory: str) -> None:
    """Keep this process's values in files in `directory`. Call it before the first import of prometheus_client."""
    os.environ[VARIABLES[0]] = directory
    _Process.shares = True
