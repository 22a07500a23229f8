"""Reports raise the delivery status in any order, and settle unknown outcomes."""

from __future__ import annotations

import json
import time
from itertools import permutations
from typing import Any
from uuid import uuid4

import pytest

from db import callbacks, lifecycle, suppressions
from db.database import rows
from db.lifecycle import evidence
from db.lifecycle.evidence import Evidence, Waiting
from tests.integration.rows import CLIENT, GRACE, WORKER, alive, attempt, claimed, failed, history, row, status

pytestmark = pytest.mark.usefixtures("store")

ADDRESS = "a@example.com"
LADDER = ["delayed", "delivered", "bounced", "complained"]


def said(id: int, kind: str, **given: Any) -> Evidence:
    klass = given.pop("bounce_class", "policy") if kind == "bounced" else None
    plain = {"about_copy": False, "recipient": ADDRESS, "code": None, "text": "so", "at": None, "event_id": None}
    return Evidence(notification_id=id, report_id=1, source="api", kind=kind, bounce_class=klass, **{**plain, **given})


def tell(id: int, kind: str, **given: Any) -> bool:
    """Record an event and apply it; return False if it was known or must wait."""
    one = said(id, kind, **given)
    return evidence.record(one) and evidence.apply(Waiting(id, one.digest))


def apply_ready() -> None:
    for waiting in evidence.ready(100):
        assert evidence.apply(waiting)


def settle(held: Any, outcome: str = "sent") -> int:
    made = attempt(outcome)
    ends = {
        "sent": lambda: lifecycle.sent(held, made),
        "uncertain": lambda: lifecycle.retry(held, made, 60),
        "deferred": lambda: lifecycle.retry(held, made, 60),
    }
    assert lifecycle.settle([ends[outcome]()], GRACE, time.monotonic())
    return int(held.id)


def delivery(id: int) -> str | None:
    found: str | None = row(id)["delivery_status"]
    return found


def reasons() -> dict[str, str]:
    return dict(rows("SELECT address, reason FROM suppressions"))


def test_every_order_of_five_events_gives_the_same_delivery_status() -> None:
    for order in permutations(["sent", *LADDER]):
        held = claimed()
        for event in order:
            if event == "sent":
                settle(held)
                apply_ready()
            else:
                tell(held.id, event, recipient=None)
        assert (status(held.id), delivery(held.id)) == ("sent", "complained"), order
        assert len(history(held.id)) == 1
    assert rows("SELECT DISTINCT state FROM evidence") == [("applied",)]


def test_the_same_event_46_times_counts_once() -> None:
    id = settle(claimed())
    assert [tell(id, "bounced", event_id="7") for _ in range(46)] == [True] + [False] * 45
    assert rows("SELECT count(*) FROM evidence") == [(1,)]
    assert delivery(id) == "bounced"


def test_the_delivery_status_shows_the_highest_event_so_far() -> None:
    id = settle(claimed())
    steps = {"delayed": "unconfirmed", "bounced": "bounced", "delivered": "bounced", "complained": "complained"}
    for kind, shown in steps.items():
        assert tell(id, kind)
        assert delivery(id) == shown


def test_an_event_before_the_commit_of_sent_is_matched_later() -> None:
    held = claimed()
    assert not tell(held.id, "delivered")
    assert evidence.ready(10) == []
    settle(held)
    apply_ready()
    assert delivery(held.id) == "delivered"


def test_a_pending_notification_without_an_unknown_outcome_waits() -> None:
    held = claimed()
    settle(held, "deferred")
    assert not tell(held.id, "delivered")
    assert (status(held.id), delivery(held.id)) == ("pending", None)


@pytest.mark.parametrize("kind", LADDER)
def test_a_report_about_an_uncertain_attempt_ends_its_retries(kind: str) -> None:
    held = claimed()
    settle(held, "uncertain")
    assert tell(held.id, kind)
    assert status(held.id) == "sent"
    assert row(held.id)["next_attempt_at"] is None
    assert rows("SELECT outcome, report_id FROM attempts") == [("uncertain", 1)]
    assert rows("SELECT sum(number) FROM history_new WHERE outcome = 'sent'") == [(1,)]
    assert lifecycle.claim([held.id], WORKER) == []


def test_a_report_about_a_lost_attempt_ends_its_retries() -> None:
    held = claimed(alive(uuid4(), steady_for=100, seen_ago=31))
    assert lifecycle.rescue(alive(uuid4(), steady_for=100), 30, 600, 5, 100) == [held.id]
    assert (status(held.id), history(held.id)) == ("pending", ["lost"])
    assert tell(held.id, "delivered")
    assert (status(held.id), delivery(held.id)) == ("sent", "delivered")


def test_an_unknown_outcome_that_was_held_becomes_sent() -> None:
    held = claimed()
    lifecycle.settle([lifecycle.failed(held, attempt("uncertain"), "outcome-unknown")], GRACE, time.monotonic())
    assert tell(held.id, "delivered")
    assert (status(held.id), row(held.id)["failure_reason"]) == ("sent", None)


@pytest.mark.parametrize("reason", ["rejected", "expired", "exhausted"])
def test_a_report_does_not_change_a_failure_without_an_unknown_outcome(reason: str) -> None:
    id = failed(reason)
    assert not tell(id, "delivered")
    assert (status(id), row(id)["failure_reason"]) == ("failed", reason)


def test_a_notification_that_is_being_sent_again_is_left_to_its_worker() -> None:
    held = claimed()
    settle(held, "uncertain")
    rows("UPDATE notifications SET next_attempt_at = now()")
    [again] = lifecycle.claim([held.id], WORKER)
    assert not tell(held.id, "delivered")
    assert status(held.id) == "processing"
    settle(again, "deferred")
    apply_ready()
    assert (status(held.id), history(held.id)) == ("sent", ["uncertain", "deferred"])


def test_a_hard_bounce_and_a_complaint_suppress_the_recipient() -> None:
    assert tell(settle(claimed()), "bounced", bounce_class="hard", recipient="gone@example.com")
    assert tell(settle(claimed()), "complained", recipient="angry@example.com")
    assert tell(settle(claimed()), "unsubscribed", recipient="tired@example.com")
    assert reasons() == {
        "gone@example.com": "bounced",
        "angry@example.com": "complained",
        "tired@example.com": "unsubscribed",
    }


@pytest.mark.parametrize("klass", ["policy", "sender", "unknown", "soft"])
def test_a_single_bounce_that_is_not_hard_suppresses_nobody(klass: str) -> None:
    assert tell(settle(claimed()), "bounced", bounce_class=klass)
    assert reasons() == {}


def test_several_soft_bounces_suppress_and_a_delivery_resets_their_count() -> None:
    def soft() -> None:
        assert tell(settle(claimed()), "bounced", bounce_class="soft")

    for _ in range(evidence.SOFT - 1):
        soft()
    assert tell(settle(claimed()), "delivered")
    for _ in range(evidence.SOFT - 1):
        soft()
    assert reasons() == {}
    soft()
    assert reasons() == {ADDRESS: "bounced"}


def test_old_soft_bounces_do_not_count() -> None:
    for _ in range(evidence.SOFT - 1):
        assert tell(settle(claimed()), "bounced", bounce_class="soft")
    rows("UPDATE evidence SET received_at = received_at - %s * interval '1 second'", evidence.SOFT_WITHIN)
    assert tell(settle(claimed()), "bounced", bounce_class="soft")
    assert reasons() == {}


def test_a_report_about_an_unknown_recipient_suppresses_nobody() -> None:
    assert tell(settle(claimed()), "bounced", bounce_class="hard", recipient=None)
    assert reasons() == {}


def test_a_report_does_not_replace_a_suppression_by_the_client() -> None:
    suppressions.add(CLIENT, suppressions.Entry(ADDRESS, "manual"))
    rows("UPDATE suppressions SET address = 'other@example.com'")
    assert tell(settle(claimed()), "bounced", bounce_class="hard", recipient="other@example.com")
    assert reasons() == {"other@example.com": "manual"}


def test_a_copy_that_bounces_suppresses_its_recipient_and_leaves_the_status() -> None:
    id = settle(claimed())
    assert tell(id, "bounced", bounce_class="hard", about_copy=True, recipient="copy@example.com")
    assert delivery(id) is None
    assert reasons() == {"copy@example.com": "bounced"}


def test_the_number_of_evidence_rows_of_a_notification_is_limited() -> None:
    id = settle(claimed())
    assert sum(tell(id, "delivered", event_id=str(n)) for n in range(evidence.MOST + 5)) == evidence.MOST


def test_early_evidence_waits_for_its_notification_for_a_limited_time() -> None:
    held = claimed()
    tell(held.id, "delivered")
    rows("UPDATE evidence SET received_at = received_at - %s * interval '1 second'", evidence.WAITS + 1)
    assert evidence.give_up() == 1
    settle(held)
    assert evidence.ready(10) == []


def endpoint(*events: str) -> None:
    assert callbacks.create(callbacks.New(CLIENT, "https://example.com/", "", list(events), "whsec_AAAA"), 10)


def told() -> list[dict[str, Any]]:
    found = rows("SELECT message FROM notifications WHERE type = 'callback' ORDER BY id")
    return [json.loads(message) for (message,) in found]


def test_each_step_of_the_delivery_status_enqueues_the_requested_callbacks() -> None:
    endpoint("delivered", "bounced")
    id = settle(claimed())
    for kind in LADDER:
        tell(id, kind, code="5.7.1")
    assert [(one["type"], one["data"]["deliveryStatus"]) for one in told()] == [
        ("notification.delivered", "delivered"),
        ("notification.bounced", "bounced"),
    ]
    bounced = told()[1]
    assert bounced["data"]["status"] == "sent"
    assert bounced["data"]["deliveryEvidence"] == {
        **{"kind": "bounced", "class": "policy", "code": "5.7.1", "text": "so", "recipient": ADDRESS, "source": "api"},
        "at": bounced["timestamp"],
    }


def test_a_repeated_event_enqueues_no_second_callback() -> None:
    endpoint("bounced")
    id = settle(claimed())
    assert [tell(id, "bounced", event_id=str(n)) for n in range(3)] == [True] * 3
    assert len(told()) == 1


def test_a_proved_notification_enqueues_the_callback_for_sent_before_the_others() -> None:
    endpoint("sent", "failed", "bounced")
    held = claimed()
    lifecycle.settle([lifecycle.failed(held, attempt("uncertain"), "outcome-unknown")], GRACE, time.monotonic())
    assert tell(held.id, "bounced")
    assert [one["type"] for one in told()] == ["notification.failed", "notification.sent", "notification.bounced"]
    assert [one["data"]["deliveryStatus"] for one in told()] == [None, "unconfirmed", "bounced"]
