"""Reports are counted with the change that they make, in the hour in which the notification was sent."""

from __future__ import annotations

import json
from itertools import permutations
from typing import Any

import pytest

from db import history, lifecycle
from db.database import database, rows
from db.history import WINDOWS
from db.lifecycle import evidence
from db.lifecycle.evidence import Evidence, Waiting
from tests.integration.rows import CLIENT, GRACE, WORKER, attempt, draft
from tests.integration.test_evidence import LADDER, said, settle

pytestmark = pytest.mark.usefixtures("store")

OWN = {"mail:25": "shop.example"}


def sent(**fields: Any) -> int:
    [stored] = lifecycle.accept([draft()._replace(**fields)], GRACE)
    [held] = lifecycle.claim([stored.id], WORKER)
    return settle(held)


def tell(id: int, *kinds: str, **given: Any) -> None:
    for kind in kinds:
        one: Evidence = said(id, kind, recipient=None, **given)
        evidence.record(one)
        assert evidence.apply(Waiting(id, one.digest), OWN)


def counted(dimension: str = "type", client: int | None = CLIENT, window: str = "24h") -> dict[str, tuple[int, ...]]:
    """Return sent, reported, delivered, bounced and complained ones by value, after a fold."""
    history.fold(1_000)
    found = history.read(client, WINDOWS[window], dimension).values
    return {value: (c.sent, c.reported, c.delivered, c.bounced, c.complained) for value, c in found}


def test_a_notification_counts_once_as_reported_and_once_for_each_status_that_it_reached() -> None:
    tell(sent(), "delayed")
    tell(sent(), "delivered", "complained")
    tell(sent(), "delayed", "bounced")
    sent()
    assert counted() == {"email": (4, 3, 1, 1, 1)}


def test_in_every_order_of_events_a_notification_is_reported_once_and_ends_as_complained() -> None:
    orders = list(permutations(LADDER))
    for order in orders:
        tell(sent(), *order)
    [(sent_, reported, _, _, complained)] = counted().values()
    assert sent_ == reported == complained == len(orders)


def test_the_same_event_46_times_counts_once() -> None:
    id = sent()
    for number in range(46):
        tell(id, "bounced", event_id=str(number))
    assert counted() == {"email": (1, 1, 0, 1, 0)}


def test_reports_are_counted_by_each_dimension() -> None:
    tell(sent(tags=json.dumps(["welcome", "ann@example.com"]), template="hello", template_version=1), "bounced")
    for dimension, values in {
        "tag": ["welcome", ""],
        "template": ["hello"],
        "priority": ["normal"],
        "provider": ["mail:25"],
        "client": ["default"],
    }.items():
        assert counted(dimension) == dict.fromkeys(values, (1, 1, 0, 1, 0)), dimension
        assert counted(dimension, None) == counted(dimension)


@pytest.mark.parametrize(
    ("sender", "domain"),
    [
        (None, "shop.example"),
        ("news@News.Example.com", "news.example.com"),
        ("Shop, the <a@b.example>", "b.example"),
        ('"a@b"@c.example', "c.example"),
    ],
)
def test_reports_are_counted_by_the_domain_of_the_sender(sender: str | None, domain: str) -> None:
    tell(sent(mail=json.dumps({"from": sender} if sender else {"cc": []})), "delivered")
    assert counted("domain") == {domain: (0, 1, 1, 0, 0)}
    assert counted("domain", None) == counted("domain")


def test_notifications_of_other_channels_have_no_domain() -> None:
    id = sent(type="sms", mail=json.dumps({"from": "ACME"}))
    rows("UPDATE attempts SET provider = 'texts' WHERE notification_id = %s", id)
    tell(id, "delivered")
    assert counted("domain") == {}
    assert counted("provider")["texts"] == (0, 1, 1, 0, 0)


def test_a_report_counts_in_the_hour_in_which_its_notification_was_sent() -> None:
    id = sent()
    rows("UPDATE notifications SET finished_at = finished_at - interval '30 hours' WHERE id = %s", id)
    tell(id, "delivered")
    assert counted()["email"][1:] == (0, 0, 0, 0)
    assert counted(window="7d")["email"][1:] == (1, 1, 0, 0)


def test_reports_are_counted_by_the_provider_that_accepted_the_notification() -> None:
    id = sent()
    rows("UPDATE attempts SET number = 2 WHERE notification_id = %s", id)
    rows(
        "INSERT INTO attempts (notification_id, number, outcome, worker, provider, started_at, finished_at)"
        " VALUES (%s, 1, 'provider-down', %s, 'first', now(), now())",
        *(id, str(WORKER)),
    )
    tell(id, "delivered")
    assert counted("provider")["mail:25"] == (1, 1, 1, 0, 0)


def test_notifications_of_test_keys_are_not_counted() -> None:
    tell(sent(sandbox=True), "delivered")
    assert counted() == {}


def test_a_report_whose_change_is_not_committed_is_not_counted() -> None:
    id = sent()
    with database.atomic() as transaction:
        tell(id, "delivered")
        transaction.rollback()
    assert counted() == {"email": (1, 0, 0, 0, 0)}


def test_a_proof_counts_as_sent_and_as_reported() -> None:
    [stored] = lifecycle.accept([draft()], GRACE)
    [held] = lifecycle.claim([stored.id], WORKER)
    settle(held, "uncertain")
    tell(held.id, "delivered")
    assert counted("provider") == {attempt().provider: (1, 1, 1, 0, 0)}
