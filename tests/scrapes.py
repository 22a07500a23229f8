"""Scrapes of /metrics, parsed as strictly as Prometheus parses them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as strictly
from prometheus_client.parser import text_string_to_metric_families

from tests.client import Client

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
GROWING = ("_total", "_count", "_sum", "_bucket")


class Series(NamedTuple):
    """One line: its name and its labels."""

    name: str
    labels: frozenset[tuple[str, str]]


class Scrape:
    """One answer of /metrics."""

    def __init__(self, text: str, *, openmetrics: bool = False) -> None:
        parse = strictly if openmetrics else text_string_to_metric_families
        self.families: list[Metric] = list(parse(text))
        found = [(Series(s.name, frozenset(s.labels.items())), s.value) for f in self.families for s in f.samples]
        self.values: Mapping[Series, float] = dict(found)
        assert len(self.values) == len(found), "the same series stands there twice"

    def sum(self, name: str, **labels: str) -> float:
        """Of all series with this name and these labels, whatever else they have."""
        wanted = set(labels.items())
        return sum(value for series, value in self.values.items() if series.name == name and wanted <= series.labels)

    def labels(self) -> dict[str, set[str]]:
        """The labels that are used with each name."""
        names: dict[str, set[str]] = {}
        for series in self.values:
            names.setdefault(series.name, set()).update(label for label, _ in series.labels)
        return names

    def fallen(self, before: Scrape) -> Iterator[Series]:
        """Series that only grow, and are less than they were, or gone."""
        for series, value in before.values.items():
            if series.name.endswith(GROWING) and self.values.get(series, -1.0) < value - 1e-9:
                yield series


def scraped(client: Client, *, openmetrics: bool = False) -> Scrape:
    """A scrape of this server; it must be whole."""
    answer = client.request("GET", "/metrics", headers={"Accept": OPENMETRICS} if openmetrics else None)
    assert answer.status == 200, answer
    return Scrape(answer.raw.decode(), openmetrics=openmetrics)
