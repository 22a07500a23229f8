"""Prometheus metrics of the reports about the notifications of the last day, and of providers that fell silent."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence

from prometheus_client.core import GaugeMetricFamily, Metric

from db.history.lately import COUNTED, HOURS, MOST, Lately, Numbers, lately
from db.live_stats import Provider

EVERY = 60.0  # seconds: the counts of a day change slowly, and reading those of many clients costs some milliseconds


class ReportMetrics:
    """Reads the counts at most once in EVERY seconds. Used by one thread."""

    def __init__(self) -> None:
        self._read_at, self._lately = -math.inf, Lately({}, {}, {})

    def read(self) -> Lately:
        """Return the counts. Call within `connection()`."""
        if time.monotonic() - self._read_at >= EVERY:
            self._lately, self._read_at = lately(), time.monotonic()
        return self._lately


def told(counts: Lately) -> Iterator[Metric]:
    """Yield a metric for each dimension that has values."""
    for label, words, values in (
        ("provider", "provider", counts.providers),
        ("domain", "domain of the sender (without sent)", counts.domains),
        ("client", "client", counts.clients),
    ):
        if values:
            yield _gauge(label, words, values)


def told_silence(providers: Sequence[Provider]) -> Iterator[Metric]:
    """Yield a metric that says which providers are silent."""
    family = GaugeMetricFamily(
        "notify_provider_silent",
        "1 while reports about what this provider took have stopped, compared with its own history.",
        labels=("provider",),
    )
    for one in providers:
        family.add_metric((one.name,), one.silent)
    yield family


def _gauge(label: str, words: str, values: Mapping[str, Numbers]) -> Metric:
    family = GaugeMetricFamily(
        f"notify_{label}_notifications",
        f"Notifications that were sent in the last {HOURS} hours, by {words}. Status: sent, and as far as reports tell "
        f"reported, delivered, bounced, complained. The largest {MOST} have a name.",
        labels=(label, "status"),
    )
    for value, numbers in values.items():
        for status in COUNTED:
            if status in numbers:
                family.add_metric((value, status), numbers[status])
    return family
