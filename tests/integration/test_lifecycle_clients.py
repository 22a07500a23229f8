"""Transitions that clients ask for: schedule, reschedule, cancel, and redrive one or many."""

from __future__ import annotations

import time
from datetime import datetime
from uuid import uuid4

import pytest

from db import failures, lifecycle
from db.database import Unacceptable, connection, rows
from db.lifecycle import relay
from db.records import Times
from tests.integration.rows import (
    CLIENT,
    GRACE,
    WORKER,
    accepted,
    attempt,
    claimed,
    draft,
    failed,
    in_seconds,
    passed,
    row,
    status,
)

pytestmark = pytest.mark.usefixtures("store")

STRANGER = 2


def scheduled(send_at: datetime | None, expires_at: datetime | None = None) -> int:
    [one] = lifecycle.accept([draft()._replace(send_at=send_at, expires_at=expires_at)], GRACE)
    return one.id


def due() -> list[int]:
    return [d.id for d in relay.take_due("normal", GRACE, 0, 100)]


def sending(send_at: datetime | None) -> Times:
    return Times(sends=True, send_at=send_at, expires=False, expires_at=None)


def expiring(expires_at: datetime | None) -> Times:
    return Times(sends=False, send_at=None, expires=True, expires_at=expires_at)


# accept, later


def test_scheduled_notification_is_not_claimed_before_its_time() -> None:
    id = scheduled(in_seconds(60))
    assert lifecycle.claim([id], WORKER) == []
    passed(61, id)
    assert [c.id for c in lifecycle.claim([id], WORKER)] == [id]


def test_scheduled_notification_is_taken_by_the_relay_as_soon_as_it_is_due() -> None:
    id = scheduled(in_seconds(60))
    assert due() == []
    passed(60.01, id)
    assert [d.id for d in relay.take_due("normal", GRACE, 1000, 100)] == [id]


def test_a_time_to_send_in_the_past_means_now() -> None:
    id = scheduled(in_seconds(-60))
    stored = row(id)
    assert stored["next_attempt_at"] == stored["created_at"]
    assert stored["rung"]
    assert (stored["dispatch_after"] - stored["created_at"]).total_seconds() == GRACE


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59.999999+00:00", "0001-01-01T00:00:00+00:00"])
def test_any_datetime_of_python_can_be_stored(text: str) -> None:
    when = datetime.fromisoformat(text)
    assert row(scheduled(when))["send_at"] == when


def test_the_database_refuses_an_expiry_before_the_time_to_send() -> None:
    then = in_seconds(60)
    with pytest.raises(Unacceptable), connection():
        scheduled(then, then)


def test_a_retry_due_after_the_expiry_waits_for_it_and_can_be_rescheduled() -> None:
    first, second = scheduled(None, in_seconds(30)), scheduled(None, in_seconds(30))
    held = lifecycle.claim([first, second], WORKER)
    lifecycle.settle([lifecycle.retry(c, attempt("deferred"), 60) for c in held], GRACE, time.monotonic())
    assert [status(first), status(second)] == ["pending", "pending"]
    assert lifecycle.reschedule(second, CLIENT, sending(None))
    assert [c.id for c in lifecycle.claim([first, second], WORKER)] == [second]
    rows("UPDATE notifications SET expires_at = now() WHERE id = %s", first)
    assert lifecycle.expire(10) == [first]
    assert row(first)["failure_reason"] == "expired"


# reschedule


def test_reschedule_changes_the_time_of_a_pending_notification() -> None:
    [id] = accepted()
    assert lifecycle.reschedule(id, CLIENT, sending(in_seconds(60)))
    assert (status(id), lifecycle.claim([id], WORKER), due()) == ("pending", [], [])
    assert lifecycle.reschedule(id, CLIENT, sending(None))
    assert row(id)["send_at"] is None
    assert due() == [id]
    assert lifecycle.claim([id], WORKER)


def test_reschedule_changes_only_the_given_fields() -> None:
    id = scheduled(in_seconds(60), in_seconds(120))
    before = row(id)
    assert lifecycle.reschedule(id, CLIENT, expiring(None))
    assert row(id) == before | {"expires_at": None}
    later = in_seconds(90)
    assert lifecycle.reschedule(id, CLIENT, sending(later))
    assert (row(id)["send_at"], row(id)["next_attempt_at"], row(id)["dispatch_after"]) == (later,) * 3


def test_a_reschedule_that_changes_nothing_leaves_no_event() -> None:
    later = in_seconds(60)
    id = scheduled(later, in_seconds(120))
    before = row(id)
    for times in (sending(later), Times(False, None, False, None), Times(True, later, True, before["expires_at"])):
        assert lifecycle.reschedule(id, CLIENT, times)
    assert row(id) == before
    assert rows("SELECT FROM events WHERE notification_id = %s", id) == []
    assert lifecycle.reschedule(id, CLIENT, sending(in_seconds(61)))
    assert rows("SELECT name FROM events WHERE notification_id = %s", id) == [("rescheduled",)]


def test_a_reschedule_without_a_time_makes_a_waiting_retry_due_at_once() -> None:
    [id] = accepted()
    [held] = lifecycle.claim([id], WORKER)
    lifecycle.settle([lifecycle.retry(held, attempt("deferred"), 60)], GRACE, time.monotonic())
    assert lifecycle.reschedule(id, CLIENT, sending(None))
    assert due() == [id]
    assert rows("SELECT name FROM events WHERE notification_id = %s", id) == [("rescheduled",)]


def test_reschedule_refuses_an_expiry_before_the_time_to_send() -> None:
    id = scheduled(in_seconds(60), in_seconds(120))
    assert not lifecycle.reschedule(id, CLIENT, sending(in_seconds(120.5)))
    assert not lifecycle.reschedule(id, CLIENT, expiring(in_seconds(59)))
    assert not lifecycle.reschedule(id, CLIENT, Times(True, None, True, in_seconds(-1)))
    assert lifecycle.reschedule(id, CLIENT, Times(True, in_seconds(200), True, in_seconds(201)))


def test_reschedule_refuses_processing_and_finished_notifications() -> None:
    held, over = claimed(), failed()
    for id in (held.id, over):
        assert not lifecycle.reschedule(id, CLIENT, sending(None))
    assert [status(held.id), status(over)] == ["processing", "failed"]


def test_a_client_cannot_change_a_notification_of_another_client() -> None:
    [pending], over = accepted(), failed()
    assert not lifecycle.reschedule(pending, STRANGER, sending(None))
    assert not lifecycle.cancel(pending, STRANGER)
    assert not lifecycle.redrive(over, STRANGER, GRACE)
    assert lifecycle.redrive_all(STRANGER, {}, None, 10) == []
    assert [status(pending), status(over)] == ["pending", "failed"]


def test_a_stale_worker_cannot_settle_a_rescheduled_notification() -> None:
    stale = claimed()
    lifecycle.release([(stale.id, stale.claim)])
    assert lifecycle.reschedule(stale.id, CLIENT, sending(in_seconds(60)))
    assert not lifecycle.settle([lifecycle.sent(stale, attempt())], GRACE, time.monotonic())
    assert status(stale.id) == "pending"


def test_a_stale_worker_cannot_settle_a_cancelled_notification() -> None:
    stale = claimed()
    lifecycle.release([(stale.id, stale.claim)])
    assert lifecycle.cancel(stale.id, CLIENT)
    assert not lifecycle.settle([lifecycle.sent(stale, attempt())], GRACE, time.monotonic())
    assert status(stale.id) == "cancelled"


# redrive


def test_redrive_refuses_a_notification_that_has_expired() -> None:
    id = failed()
    rows("UPDATE notifications SET expires_at = now() WHERE id = %s", id)
    assert not lifecycle.redrive(id, CLIENT, GRACE)
    assert lifecycle.redrive_all(CLIENT, {}, None, 10) == []
    assert status(id) == "failed"


def test_redrive_all_moves_the_oldest_first_and_leaves_them_to_the_relay() -> None:
    ids = [failed() for _ in range(5)]
    moved = lifecycle.redrive_all(CLIENT, {}, None, 3)
    assert [p.id for p in moved] == ids[:3]
    assert [status(id) for id in ids] == ["pending"] * 3 + ["failed"] * 2
    assert [(row(id)["retry_count"], row(id)["attempt_count"]) for id in ids[:3]] == [(0, 1)] * 3
    assert due() == ids[:3]
    assert [p.id for p in lifecycle.redrive_all(CLIENT, {}, moved[-1], 3)] == ids[3:]


def test_redrive_all_changes_only_failed_notifications() -> None:
    [pending], held = accepted(), claimed(uuid4())
    assert lifecycle.redrive_all(CLIENT, {}, None, 10) == []
    assert [status(pending), status(held.id)] == ["pending", "processing"]


def test_a_bulk_retry_does_not_retry_the_same_notification_twice() -> None:
    first, second = failed(), failed()
    [place] = lifecycle.redrive_all(CLIENT, {}, None, 1)
    [held] = lifecycle.claim([first], WORKER)
    lifecycle.settle([lifecycle.failed(held, attempt("refused"), "rejected")], GRACE, time.monotonic())
    assert [p.id for p in lifecycle.redrive_all(CLIENT, {}, place, 10)] == [second]
    assert status(first) == "failed"


def test_redrive_all_and_count_use_the_same_filter() -> None:
    failed()
    wanted = failed("rejected", "b@example.com")
    created = row(wanted)["created_at"]
    filters = {
        "failure_reason": "rejected",
        "type": "email",
        "recipient": "b@example.com",
        "created_from": created,
        "created_to": in_seconds(1),
    }
    for name, value in {**filters, "created_to": created, "recipient": "c@example.com"}.items():
        matches = value == filters[name]
        assert failures.count(CLIENT, filters | {name: value}, None, 10) == matches
    assert failures.count(CLIENT, {}, None, 10) == 2
    assert failures.count(CLIENT, {}, None, 1) == 1
    assert [p.id for p in lifecycle.redrive_all(CLIENT, filters, None, 10)] == [wanted]
    assert failures.count(CLIENT, {}, None, 10) == 1


# with a key for tests


def for_tests() -> int:
    [one] = lifecycle.accept([draft()._replace(sandbox=True)], GRACE)
    return one.id


def fail(id: int) -> int:
    [held] = lifecycle.claim([id], WORKER)
    lifecycle.settle([lifecycle.failed(held, attempt("refused"), "rejected")], GRACE, time.monotonic())
    return id


def test_a_test_key_cannot_change_live_mail() -> None:
    [pending], over = accepted(), failed()
    before = row(pending), row(over)
    assert not lifecycle.cancel(pending, CLIENT, only_sandbox=True)
    assert not lifecycle.reschedule(pending, CLIENT, sending(in_seconds(60)), only_sandbox=True)
    assert not lifecycle.redrive(over, CLIENT, GRACE, only_sandbox=True)
    assert lifecycle.redrive_all(CLIENT, {"sandbox": True}, None, 10) == []
    assert failures.count(CLIENT, {"sandbox": True}, None, 10) == 0
    assert (row(pending), row(over)) == before


def test_sandbox_notifications_can_be_changed_with_test_keys_and_live_keys() -> None:
    for only in (True, False):
        assert lifecycle.reschedule(for_tests(), CLIENT, sending(in_seconds(60)), only_sandbox=only)
        assert lifecycle.cancel(for_tests(), CLIENT, only_sandbox=only)
        assert lifecycle.redrive(fail(for_tests()), CLIENT, GRACE, only_sandbox=only)
    live, toy = failed(), fail(for_tests())
    assert failures.count(CLIENT, {"sandbox": True}, None, 10) == 1
    assert [p.id for p in lifecycle.redrive_all(CLIENT, {"sandbox": True}, None, 10)] == [toy]
    assert [p.id for p in lifecycle.redrive_all(CLIENT, {}, None, 10)] == [live]


# cancel, all of a client


def test_cancel_all_cancels_pending_notifications_oldest_first_and_step_by_step() -> None:
    ids = accepted(3)
    assert lifecycle.cancel_all(CLIENT, 2) == ids[:2]
    assert lifecycle.cancel_all(CLIENT, 2) == ids[2:]
    assert lifecycle.cancel_all(CLIENT, 2) == []
    assert [status(id) for id in ids] == ["cancelled"] * 3
    assert rows("SELECT count(*) FROM events WHERE name = 'cancelled' AND notification_id = ANY(%s)", ids) == [(3,)]
    assert lifecycle.claim(ids, WORKER) == []


def test_cancel_all_leaves_sent_failed_and_processing_notifications_as_they_are() -> None:
    done, ended, held = claimed(), failed(), claimed()
    lifecycle.settle([lifecycle.sent(done, attempt())], GRACE, time.monotonic())
    assert lifecycle.cancel_all(CLIENT, 100) == []
    assert [status(id) for id in (done.id, ended, held.id)] == ["sent", "failed", "processing"]


def test_cancel_all_leaves_notifications_of_other_clients() -> None:
    [id] = accepted()
    assert lifecycle.cancel_all(STRANGER, 100) == []
    assert status(id) == "pending"


def test_a_stale_worker_cannot_settle_a_notification_cancelled_by_cancel_all() -> None:
    stale = claimed()
    assert lifecycle.release([(stale.id, stale.claim)]) == [stale.id]
    assert lifecycle.cancel_all(CLIENT, 100) == [stale.id]
    assert not lifecycle.settle([lifecycle.sent(stale, attempt())], GRACE, time.monotonic())
    assert status(stale.id) == "cancelled"
