"""The metrics count reports by provider, domain and client, for a bounded number of each."""

from __future__ import annotations

import pytest

from api.resources import report_metrics
from api.resources.report_metrics import ReportMetrics
from db.database import rows
from db.history.lately import MOST, OTHER, Lately, lately
from tests.monitoring import documented

pytestmark = pytest.mark.usefixtures("store")


def counted(dimension: str, value: str, outcome: str, number: int, **of: int) -> None:
    rows(
        "INSERT INTO history (client_id, dimension, hour, value, outcome, class, number)"
        " VALUES (%s, %s, date_trunc('hour', now(), 'UTC') - %s * interval '1 hour', %s, %s, 0, %s)",
        *(of.get("client", 0), dimension, of.get("ago", 1), value, outcome, number),
    )


def series(counts: Lately) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for metric in report_metrics.told(counts)
        for sample in metric.samples
    }


def test_each_dimension_is_a_metric_with_the_counts_of_the_last_day() -> None:
    counted("provider", "post", "sent", 10)
    counted("provider", "post", "sent", 5, ago=23)
    counted("provider", "post", "sent", 100, ago=24)
    counted("provider", "post", "failed", 3)
    counted("provider", "post", "reported", 9)
    counted("domain", "shop.example", "bounced", 2)
    counted("client", "1", "complained", 1)
    counted("client", "77", "sent", 1)
    counted("tag", "welcome", "sent", 1)
    counted("domain", "own.example", "bounced", 2, client=1)
    assert series(lately()) == {
        ("notify_provider_notifications", "post", "sent"): 15,
        ("notify_provider_notifications", "post", "reported"): 9,
        ("notify_domain_notifications", "shop.example", "bounced"): 2,
        ("notify_client_notifications", "default", "complained"): 1,
        ("notify_client_notifications", "77", "sent"): 1,
    }


def test_only_the_largest_domains_have_a_name_and_the_rest_is_added_up() -> None:
    for number in range(MOST + 5):
        counted("domain", f"d{number}.example", "reported", 1_000 - number)
        counted("domain", f"d{number}.example", "bounced", 1)
    counted("domain", "", "reported", 10_000)
    domains = lately().domains
    assert len(domains) == MOST + 1
    assert domains["d0.example"] == {"reported": 1_000, "bounced": 1}
    assert domains[OTHER] == {"reported": 10_000 + sum(1_000 - n for n in range(MOST, MOST + 5)), "bounced": 5}


def test_a_client_that_is_named_like_the_rest_is_not_taken_for_it() -> None:
    rows("INSERT INTO clients (id, name) VALUES (900, %s)", OTHER)
    for number in range(MOST):
        counted("client", str(1_000 + number), "sent", 50)
    counted("client", "900", "sent", 1_000)
    counted("client", "901", "sent", 1)
    clients = lately().clients
    rows("DELETE FROM clients WHERE id = 900")
    assert (clients["900"], clients[OTHER]) == ({"sent": 1_000}, {"sent": 51})


def test_the_counts_are_read_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    counted("provider", "post", "sent", 10)
    metrics = ReportMetrics()
    first = metrics.read()
    counted("provider", "other", "sent", 10)
    assert metrics.read() is first
    monkeypatch.setattr(report_metrics, "EVERY", 0)
    assert set(metrics.read().providers) == {"post", "other"}


def test_the_metrics_are_documented() -> None:
    for dimension in ("provider", "domain", "client"):
        counted(dimension, "1", "sent", 10)
    for metric in report_metrics.told(lately()):
        labels = set().union(*(sample.labels for sample in metric.samples))
        assert documented()[metric.name] == (metric.type, labels, metric.documentation)
