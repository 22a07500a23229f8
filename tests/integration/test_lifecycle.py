"""Every transition: it moves a row, refuses a row in another state, and refuses a stale owner."""

from __future__ import annotations

import time
from collections.abc import Callable
from uuid import uuid4

import pytest

from db import lifecycle, reports
from db.database import Unacceptable, connection, rows
from db.records import Attempt, Claimed, Settlement
from tests.integration.rows import (
    CLIENT,
    GRACE,
    WORKER,
    accepted,
    alive,
    attempt,
    claimed,
    draft,
    history,
    passed,
    row,
    status,
)

pytestmark = pytest.mark.usefixtures("store")


def settle(settlement: Settlement) -> bool:
    return bool(lifecycle.settle([settlement], GRACE, time.monotonic()))


def retry(held: Claimed, made: Attempt) -> Settlement:
    return lifecycle.retry(held, made, 60)


def reject(held: Claimed, made: Attempt) -> Settlement:
    return lifecycle.failed(held, made, "rejected")


SETTLEMENTS = [lifecycle.sent, retry, reject]
settlements = pytest.mark.parametrize("outcome", SETTLEMENTS)
Outcome = Callable[[Claimed, Attempt], Settlement]

# accept


def test_accept_stores_each_draft_and_returns_rows_in_their_order() -> None:
    stored = lifecycle.accept([draft(f"{n}@example.com") for n in range(300)], GRACE)
    assert [row(a.id)["recipient"] for a in stored] == [f"{n}@example.com" for n in range(300)]


def test_an_accepted_row_is_pending_due_and_enqueued_again_after_the_grace() -> None:
    [id] = accepted()
    stored = row(id)
    assert (stored["status"], stored["attempt_count"], stored["retry_count"]) == ("pending", 0, 0)
    assert stored["next_attempt_at"] == stored["created_at"]
    assert (stored["dispatch_after"] - stored["created_at"]).total_seconds() == GRACE


def test_accept_refuses_the_whole_statement_for_a_value_the_database_cannot_hold() -> None:
    with pytest.raises(Unacceptable), connection():
        lifecycle.accept([draft(), draft()._replace(type=None)], GRACE)  # type: ignore[arg-type]


# claim


def test_claim_takes_pending_rows_that_are_due() -> None:
    ids = accepted(3)
    taken = lifecycle.claim(reversed(ids), WORKER)
    assert [c.id for c in taken] == ids
    assert {c.claim for c in taken} == {1}
    assert [status(id) for id in ids] == ["processing"] * 3
    assert row(ids[0])["claimed_by"] == WORKER


def test_claim_leaves_claimed_settled_and_cancelled_rows() -> None:
    sent, failed, cancelled, held = (claimed() for _ in range(4))
    settle(lifecycle.sent(sent, attempt()))
    settle(reject(failed, attempt("refused")))
    lifecycle.release([(cancelled.id, cancelled.claim)])
    lifecycle.cancel(cancelled.id, CLIENT)
    assert lifecycle.claim([c.id for c in (sent, failed, cancelled, held)], uuid4()) == []


def test_claim_leaves_rows_that_are_not_due_yet() -> None:
    [id] = accepted()
    passed(-5, id)
    assert lifecycle.claim([id], WORKER) == []
    passed(6, id)
    assert [c.id for c in lifecycle.claim([id], WORKER)] == [id]


def test_claim_leaves_rows_that_have_expired() -> None:
    [id] = accepted()
    rows("UPDATE notifications SET expires_at = now() - interval '1 second' WHERE id = %s", id)
    assert lifecycle.claim([id], WORKER) == []


def test_claim_ignores_unknown_and_repeated_ids() -> None:
    [id] = accepted()
    assert [c.id for c in lifecycle.claim([id, id, 10**12], WORKER)] == [id]


def test_every_claim_has_a_higher_number() -> None:
    held = claimed()
    for number in range(2, 5):
        lifecycle.release([(held.id, held.claim)])
        [held] = lifecycle.claim([held.id], WORKER)
        assert held.claim == number


def suspects(count: int) -> list[int]:
    """Accept notifications and make them such as have been lost with two workers."""
    ids = accepted(count)
    rows("UPDATE notifications SET alone = true, retry_count = 2, attempt_count = 2 WHERE id = ANY(%s)", ids)
    return ids


def test_a_worker_holds_one_suspect_at_a_time() -> None:
    first, second, third = suspects(3)
    [other] = accepted()
    held, _ = taken = lifecycle.claim([third, second, first, other], WORKER)
    assert [c.id for c in taken] == [first, other]
    assert lifecycle.claim([second], WORKER) == []
    assert [c.id for c in lifecycle.claim([second, third], uuid4())] == [second]
    assert settle(lifecycle.sent(held, attempt()))
    assert [c.id for c in lifecycle.claim([second, third], WORKER)] == [third]


def test_a_suspect_that_is_not_due_keeps_no_other_from_being_claimed() -> None:
    later, due = suspects(2)
    passed(-5, later)
    assert [c.id for c in lifecycle.claim([later, due], WORKER)] == [due]


@pytest.mark.parametrize(("alone", "retries"), [(True, 1), (False, 4)])
def test_a_notification_lost_once_or_only_refused_is_no_suspect(alone: bool, retries: int) -> None:
    ids = accepted(3)
    rows(
        "UPDATE notifications SET alone = %s, retry_count = %s, attempt_count = 9 WHERE id = ANY(%s)",
        alone,
        retries,
        ids,
    )
    assert [c.id for c in lifecycle.claim(ids, WORKER)] == ids
    assert lifecycle.put_off(ids) == []


def test_suspects_that_were_not_claimed_are_enqueued_again_within_a_second() -> None:
    held, later, *due = suspects(4)
    lifecycle.claim([held], WORKER)
    passed(-5, later)
    rows("UPDATE notifications SET rung = true, dispatch_after = now() + interval '9 seconds' WHERE id = ANY(%s)", due)
    assert sorted(lifecycle.put_off([held, later, *due, *accepted()])) == due
    soon = "NOT rung AND dispatch_after BETWEEN now() AND now() + interval '1 second'"
    assert rows(f"SELECT id FROM notifications WHERE status = 'pending' AND {soon} ORDER BY id") == [
        (id,) for id in due
    ]
    assert status(held) == "processing"


# sent, retry, failed


def test_sent_is_final_and_records_the_attempt() -> None:
    held = claimed()
    assert settle(lifecycle.sent(held, attempt()))
    stored = row(held.id)
    assert (stored["status"], stored["attempt_count"], stored["retry_count"]) == ("sent", 1, 0)
    [made] = reports.attempts(held.id, 1)
    assert (made["number"], made["outcome"], made["reply_code"], made["worker"]) == (1, "sent", 250, WORKER)
    assert (made["finished_at"] - made["started_at"]).total_seconds() == pytest.approx(1, abs=0.01)
    assert (stored["finished_at"] - made["finished_at"]).total_seconds() >= 0.99


def test_retry_goes_back_to_pending_and_is_due_after_the_delay() -> None:
    held = claimed()
    assert settle(lifecycle.retry(held, attempt("deferred", "450 busy"), 60))
    stored = row(held.id)
    assert (stored["status"], stored["attempt_count"], stored["retry_count"]) == ("pending", 1, 1)
    assert stored["last_error"] == "450 busy"
    assert (stored["dispatch_after"] - stored["next_attempt_at"]).total_seconds() == GRACE
    assert lifecycle.claim([held.id], WORKER) == []
    passed(60, held.id)
    assert lifecycle.claim([held.id], WORKER)


@pytest.mark.parametrize("reason", ["rejected", "exhausted", "outcome-unknown"])
def test_a_failed_notification_has_its_reason_and_error(reason: str) -> None:
    held = claimed()
    assert settle(lifecycle.failed(held, attempt("refused", "550 no"), reason))
    stored = row(held.id)
    assert (stored["status"], stored["failure_reason"], stored["last_error"]) == ("failed", reason, "550 no")
    assert stored["retry_count"] == 0
    assert history(held.id) == ["refused"]


def test_an_earlier_error_stays_readable_after_success() -> None:
    held = claimed()
    settle(lifecycle.retry(held, attempt("deferred", "450 busy"), 0))
    [again] = lifecycle.claim([held.id], WORKER)
    settle(lifecycle.sent(again, attempt()))
    assert row(held.id)["last_error"] == "450 busy"
    assert history(held.id) == ["deferred", "sent"]


@settlements
def test_only_a_row_in_processing_can_be_settled(outcome: Outcome) -> None:
    held = claimed()
    lifecycle.release([(held.id, held.claim)])
    assert not settle(outcome(held, attempt()))
    assert status(held.id) == "pending"
    assert history(held.id) == []


@settlements
def test_a_stale_worker_cannot_settle_a_row_that_another_has_taken_over(outcome: Outcome) -> None:
    stale = claimed()
    lifecycle.release([(stale.id, stale.claim)])
    [owner] = lifecycle.claim([stale.id], uuid4())
    assert not settle(outcome(stale, attempt()))
    assert status(stale.id) == "processing"
    assert history(stale.id) == []
    assert settle(outcome(owner, attempt()))


@settlements
def test_an_outcome_is_recorded_once_however_often_it_is_reported(outcome: Outcome) -> None:
    held = claimed()
    assert settle(outcome(held, attempt()))
    assert not settle(outcome(held, attempt()))
    assert row(held.id)["attempt_count"] == 1


def test_many_settlements_in_one_statement_each_get_their_own_outcome() -> None:
    held = lifecycle.claim(accepted(4), WORKER)
    stale = held[3]
    lifecycle.release([(stale.id, stale.claim)])
    wanted = [
        lifecycle.failed(held[1], attempt("refused"), "rejected"),
        lifecycle.sent(held[0], attempt()),
        lifecycle.sent(stale, attempt()),
        lifecycle.retry(held[2], attempt("deferred"), 5),
    ]
    owned = lifecycle.settle(wanted, GRACE, time.monotonic())
    assert owned == {(c.id, c.claim) for c in held[:3]}
    assert [status(c.id) for c in held] == ["sent", "failed", "pending", "pending"]


# doubt


def held_back() -> Claimed:
    [stored] = lifecycle.accept([draft()._replace(on_uncertain="hold")], GRACE)
    [one] = lifecycle.claim([stored.id], WORKER)
    return one


def test_doubt_is_marked_for_rows_still_owned() -> None:
    held, stale = held_back(), held_back()
    lifecycle.release([(stale.id, stale.claim)])
    lifecycle.claim([stale.id], uuid4())
    wanted = [(c.id, c.claim) for c in (held, stale)]
    assert lifecycle.doubt(wanted) == {wanted[0]}
    assert row(held.id)["in_doubt_since"]
    assert not row(stale.id)["in_doubt_since"]


def test_doubt_is_refused_for_rows_that_are_not_being_sent() -> None:
    held = held_back()
    lifecycle.release([(held.id, held.claim)])
    assert lifecycle.doubt([(held.id, held.claim)]) == set()


def test_doubt_is_only_for_notifications_with_hold() -> None:
    held = claimed()
    with pytest.raises(Unacceptable), connection():
        lifecycle.doubt([(held.id, held.claim)])


@settlements
def test_a_settlement_ends_the_doubt(outcome: Outcome) -> None:
    held = held_back()
    lifecycle.doubt([(held.id, held.claim)])
    assert settle(outcome(held, attempt()))
    assert row(held.id)["in_doubt_since"] is None


def test_a_rescued_row_in_doubt_ends_as_outcome_unknown_instead_of_a_second_attempt() -> None:
    before, after = held_back(), held_back()
    lifecycle.doubt([(after.id, after.claim)])
    assert sorted(rescue()) == [before.id, after.id]
    assert status(before.id) == "pending"
    assert (status(after.id), row(after.id)["failure_reason"]) == ("failed", "outcome-unknown")
    assert history(after.id) == ["lost"]


# release


def test_release_costs_no_attempt() -> None:
    held = claimed()
    assert lifecycle.release([(held.id, held.claim)]) == [held.id]
    stored = row(held.id)
    assert (stored["status"], stored["attempt_count"], stored["claim"]) == ("pending", 0, 1)
    assert stored["dispatch_after"] <= rows("SELECT now()")[0][0]


def test_release_leaves_rows_that_are_not_processing() -> None:
    held = claimed()
    settle(lifecycle.sent(held, attempt()))
    assert lifecycle.release([(held.id, held.claim)]) == []
    assert status(held.id) == "sent"


def test_a_stale_owner_cannot_release() -> None:
    stale = claimed()
    lifecycle.release([(stale.id, stale.claim)])
    lifecycle.claim([stale.id], uuid4())
    assert lifecycle.release([(stale.id, stale.claim)]) == []


def test_only_claims_unknown_to_their_worker_are_released() -> None:
    mine, lost = lifecycle.claim(accepted(2), WORKER)
    theirs = claimed(uuid4())
    assert lifecycle.release_unheld(WORKER, [mine.id]) == [lost.id]
    assert [status(c.id) for c in (mine, lost, theirs)] == ["processing", "pending", "processing"]


# rescue


def rescue(max_attempts: int = 5) -> list[int]:
    return lifecycle.rescue(alive(uuid4(), steady_for=31), 30, 600, max_attempts, 100)


def test_rescue_takes_from_a_worker_that_was_not_seen_and_counts_the_attempt() -> None:
    held = claimed(alive(uuid4(), steady_for=100, seen_ago=31))
    assert rescue() == [held.id]
    stored = row(held.id)
    assert (stored["status"], stored["attempt_count"], stored["retry_count"]) == ("pending", 1, 1)
    assert stored["alone"]
    assert history(held.id) == ["lost"]
    assert not settle(lifecycle.sent(held, attempt()))


def test_a_notification_lost_twice_is_enqueued_alone() -> None:
    held = [claimed(uuid4()) for _ in range(8)]
    ids = [c.id for c in held]
    assert rescue() == ids
    assert len(lifecycle.claim(ids, uuid4())) == 8
    assert rescue() == ids
    waits = rows(
        "SELECT extract(epoch FROM next_attempt_at - now())::float8 FROM notifications WHERE id = ANY(%s)", ids
    )
    assert all(-1 < wait <= 30 for (wait,) in waits)
    assert len({wait for (wait,) in waits}) == 8
    assert rows("SELECT count(*) FROM notifications WHERE dispatch_after <> next_attempt_at") == [(0,)]


def lost(ids: list[int]) -> list[int]:
    return [id for id in ids if history(id) == ["lost"]]


def test_only_rows_that_may_have_been_begun_cost_an_attempt() -> None:
    ids, worker = accepted(10), uuid4()
    held = lifecycle.claim(ids, worker, at_once=[*ids[:3], *ids[5:7]])
    settle(lifecycle.sent(held[0], attempt()))
    assert sorted(rescue()) == ids[1:]
    assert lost(ids) == [*ids[1:3], *ids[5:7]]
    untouched = row(ids[3])
    assert (untouched["attempt_count"], untouched["alone"], untouched["last_error"]) == (0, False, None)
    assert untouched["dispatch_after"] <= rows("SELECT now()")[0][0]


def test_a_list_rescued_in_parts_costs_no_more_attempts() -> None:
    ids, observer = accepted(10), alive(uuid4(), steady_for=31)
    lifecycle.claim(ids, uuid4(), at_once=ids[:2])
    parts = [lifecycle.rescue(observer, 30, 600, 5, 3) for _ in range(4)]
    assert sorted(id for part in parts for id in part) == ids
    assert lost(ids) == ids[:2]


def test_a_row_in_doubt_always_counts_as_begun() -> None:
    ids = [a.id for a in lifecycle.accept([draft()._replace(on_uncertain="hold") for _ in range(4)], GRACE)]
    held = lifecycle.claim(ids, uuid4(), at_once=())
    lifecycle.doubt([(held[3].id, held[3].claim)])
    rescue()
    assert [status(id) for id in ids] == ["pending", "pending", "pending", "failed"]
    assert history(ids[3]) == ["lost"]


def test_rescue_takes_from_an_unknown_worker() -> None:
    held = claimed(uuid4())
    assert rescue() == [held.id]


def test_rescue_leaves_rows_that_a_live_worker_holds() -> None:
    held = claimed(alive(uuid4(), steady_for=100, seen_ago=29))
    assert rescue() == []
    assert status(held.id) == "processing"


def test_rescue_takes_rows_that_a_live_worker_has_held_for_too_long() -> None:
    held = claimed(alive(uuid4(), steady_for=1000))
    passed(601, held.id)
    assert rescue() == [held.id]


def test_rescue_fails_rows_that_have_no_attempt_left() -> None:
    held = claimed(uuid4())
    assert rescue(max_attempts=1) == [held.id]
    stored = row(held.id)
    assert (stored["status"], stored["failure_reason"], stored["retry_count"]) == ("failed", "exhausted", 0)


def test_after_an_outage_no_worker_is_rescued_until_the_observer_is_steady() -> None:
    held = claimed(alive(uuid4(), steady_for=100, seen_ago=300))
    fresh = alive(uuid4(), steady_for=29)
    assert lifecycle.rescue(fresh, 30, 600, 5, 100) == []
    assert lifecycle.rescue(uuid4(), 30, 600, 5, 100) == []
    assert status(held.id) == "processing"


def test_rescue_leaves_rows_that_are_not_processing() -> None:
    [id] = accepted()
    sent = claimed(uuid4())
    settle(lifecycle.sent(sent, attempt()))
    assert rescue() == []
    assert (status(id), status(sent.id)) == ("pending", "sent")


# expire, cancel, redrive


def test_expire_fails_only_rows_that_have_expired() -> None:
    late, soon, never = accepted(3)
    rows("UPDATE notifications SET expires_at = now() - interval '1 second' WHERE id = %s", late)
    rows("UPDATE notifications SET expires_at = now() + interval '1 hour' WHERE id = %s", soon)
    assert lifecycle.expire(100) == [late]
    assert row(late)["failure_reason"] == "expired"
    assert [status(id) for id in (soon, never)] == ["pending", "pending"]


def test_expire_leaves_rows_that_are_being_sent() -> None:
    held = claimed()
    rows("UPDATE notifications SET expires_at = now() - interval '1 second' WHERE id = %s", held.id)
    assert lifecycle.expire(100) == []


def test_cancel_is_final_for_a_pending_row() -> None:
    [id] = accepted()
    assert lifecycle.cancel(id, CLIENT)
    assert status(id) == "cancelled"
    assert lifecycle.claim([id], WORKER) == []
    assert not lifecycle.cancel(id, CLIENT)


def test_cancel_refuses_a_row_that_is_being_sent() -> None:
    held = claimed()
    assert not lifecycle.cancel(held.id, CLIENT)
    assert status(held.id) == "processing"


def test_redrive_gives_a_failed_row_all_attempts_and_keeps_its_history() -> None:
    held = claimed()
    settle(reject(held, attempt("refused")))
    assert lifecycle.redrive(held.id, CLIENT, GRACE)
    stored = row(held.id)
    assert (stored["status"], stored["retry_count"], stored["attempt_count"]) == ("pending", 0, 1)
    [again] = lifecycle.claim([held.id], WORKER)
    assert again.claim == 2
    settle(lifecycle.sent(again, attempt()))
    assert history(held.id) == ["refused", "sent"]


def test_redrive_refuses_a_row_that_has_not_failed() -> None:
    [pending] = accepted()
    held = claimed()
    assert not lifecycle.redrive(pending, CLIENT, GRACE)
    assert not lifecycle.redrive(held.id, CLIENT, GRACE)


def test_a_stale_owner_cannot_settle_after_a_redrive() -> None:
    held = claimed(uuid4())
    rescue(max_attempts=1)
    lifecycle.redrive(held.id, CLIENT, GRACE)
    lifecycle.claim([held.id], WORKER)
    assert not settle(lifecycle.sent(held, attempt()))


# the database guards too


@pytest.mark.parametrize(
    "change",
    [
        "status = 'nonsense'",
        "status = 'processing'",
        "status = 'sent'",
        "status = 'failed', finished_at = now(), next_attempt_at = NULL, dispatch_after = NULL",
        "failure_reason = 'rejected'",
        "claimed_at = now()",
        "next_attempt_at = NULL",
        "dispatch_after = NULL",
        "retry_count = 1",
    ],
)
def test_the_database_refuses_a_state_without_its_timestamps(change: str) -> None:
    [id] = accepted()
    with pytest.raises(Unacceptable), connection():
        rows(f"UPDATE notifications SET {change} WHERE id = {id}")
