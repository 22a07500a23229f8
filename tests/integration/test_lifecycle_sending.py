"""The record of the notifications that a worker may have begun, which rescue uses; and throttled notifications."""

from __future__ import annotations

import time
from uuid import UUID, uuid4

import pytest

from db import lifecycle, workers
from db.database import rows
from db.records import Claimed, Sending
from tests.integration.rows import (
    CLIENT,
    GRACE,
    WORKER,
    accepted,
    alive,
    attempt,
    claimed,
    failed,
    history,
    passed,
    row,
    status,
)
from tests.integration.test_lifecycle import lost, rescue, settle

pytestmark = pytest.mark.usefixtures("store")


def recorded() -> dict[UUID, list[int]]:
    """Return the ids in the table `sending` by worker."""
    return {UUID(worker): ids for worker, ids in rows("SELECT worker::text, ids FROM sending")}


def owner(held: Claimed) -> tuple[int, int]:
    return held.id, held.claim


# claim


def test_only_rows_that_may_be_begun_at_once_count_as_begun_after_the_worker_died() -> None:
    ids = accepted(6)
    assert [held.id for held in lifecycle.claim(ids, uuid4(), at_once=ids[1:3])] == ids
    assert sorted(rescue()) == ids
    assert lost(ids) == ids[1:3]
    assert [row(id)["attempt_count"] for id in ids] == [0, 1, 1, 0, 0, 0]
    assert [row(id)["alone"] for id in ids] == [False, True, True, False, False, False]


def test_each_claim_sets_anew_which_rows_may_be_begun_at_once() -> None:
    [id] = accepted()
    [first] = lifecycle.claim([id], WORKER)
    lifecycle.release([owner(first)])
    lifecycle.claim([id], uuid4(), at_once=())
    assert rescue() == [id]
    assert lost([id]) == []


@pytest.mark.parametrize("at_once", [None, ()], ids=["all", "none"])
def test_claim_leaves_rows_that_are_not_pending_whichever_may_be_begun(
    at_once: tuple[int, ...] | None,
) -> None:
    held, [cancelled] = claimed(), accepted()
    lifecycle.cancel(cancelled, CLIENT)
    assert lifecycle.claim([held.id, cancelled, failed()], uuid4(), at_once) == []


# begin


def test_only_rows_recorded_as_begun_cost_an_attempt() -> None:
    ids, worker = accepted(5), uuid4()
    lifecycle.claim(ids, worker, at_once=())
    lifecycle.begin(Sending(worker, ids[3:]))
    assert sorted(rescue()) == ids
    assert lost(ids) == ids[3:]


def test_a_record_replaces_only_the_earlier_record_of_the_same_worker() -> None:
    ids, worker, other = accepted(4), uuid4(), uuid4()
    lifecycle.claim(ids[:2], worker, at_once=())
    lifecycle.claim(ids[2:], other, at_once=())
    lifecycle.begin(Sending(other, ids[3:]))
    lifecycle.begin(Sending(worker, ids[:1]))
    lifecycle.begin(Sending(worker, ids[1:2]))
    assert recorded() == {worker: [ids[1]], other: [ids[3]]}
    rescue()
    assert lost(ids) == [ids[1], ids[3]]


def test_the_record_of_another_worker_does_not_count_for_the_present_owner() -> None:
    [id], stale, holder = accepted(), uuid4(), uuid4()
    lifecycle.begin(Sending(stale, [id]))
    lifecycle.claim([id], holder, at_once=())
    assert rescue() == [id]
    assert (status(id), lost([id])) == ("pending", [])


def test_a_record_of_the_next_ids_does_not_change_final_rows() -> None:
    held = claimed(WORKER)
    settle(lifecycle.sent(held, attempt()))
    lifecycle.begin(Sending(WORKER, [held.id]))
    assert rescue() == []
    assert status(held.id) == "sent"


# settle


def test_the_next_rows_are_recorded_with_the_outcome_before_them() -> None:
    first, second = lifecycle.claim(accepted(2), WORKER, at_once=())
    sending = Sending(WORKER, [second.id])
    settled = lifecycle.settle([lifecycle.sent(first, attempt())], GRACE, time.monotonic(), sending)
    assert (settled, recorded()) == ({owner(first)}, {WORKER: [second.id]})
    rescue()
    assert lost([second.id]) == [second.id]


def test_the_next_ids_are_recorded_even_if_the_claim_was_lost() -> None:
    stale, [other] = claimed(), accepted()
    lifecycle.release([owner(stale)])
    lifecycle.claim([stale.id], uuid4())
    sending = Sending(WORKER, [other])
    assert lifecycle.settle([lifecycle.sent(stale, attempt())], GRACE, time.monotonic(), sending) == set()
    assert recorded() == {WORKER: [other]}


def test_the_record_of_the_next_ids_is_kept_if_none_follow() -> None:
    first, second = lifecycle.claim(accepted(2), WORKER, at_once=())
    lifecycle.begin(Sending(WORKER, [first.id, second.id]))
    assert settle(lifecycle.sent(first, attempt()))
    assert recorded() == {WORKER: [first.id, second.id]}


# postpone


def test_postpone_costs_no_attempt_and_makes_the_row_due_later() -> None:
    held = claimed()
    assert lifecycle.postpone([owner(held)], 60, "432 4.3.2 too many connections") == [held.id]
    stored = row(held.id)
    assert (stored["status"], stored["attempt_count"], stored["retry_count"]) == ("pending", 0, 0)
    assert (stored["claimed_at"], stored["claimed_by"], stored["claimed_list"]) == (None, None, None)
    assert stored["last_error"] == "432 4.3.2 too many connections"
    assert stored["next_attempt_at"] == stored["dispatch_after"]
    assert 59 <= (stored["next_attempt_at"] - stored["throttled_since"]).total_seconds() <= 60
    assert history(held.id) == []
    assert lifecycle.claim([held.id], WORKER) == []
    passed(60, held.id)
    [again] = lifecycle.claim([held.id], WORKER)
    assert again.throttled_for >= 0.0


def test_postpone_leaves_rows_that_are_not_processing() -> None:
    held = claimed()
    settle(lifecycle.sent(held, attempt()))
    assert lifecycle.postpone([owner(held)], 60, "later") == []
    assert (status(held.id), row(held.id)["throttled_since"]) == ("sent", None)


def test_a_stale_owner_cannot_postpone() -> None:
    stale = claimed()
    lifecycle.release([owner(stale)])
    lifecycle.claim([stale.id], uuid4())
    assert lifecycle.postpone([owner(stale)], 60, "later") == []
    assert (status(stale.id), row(stale.id)["throttled_since"]) == ("processing", None)


def throttled() -> Claimed:
    """A claimed notification that was refused for our rate 100 seconds ago."""
    held = claimed()
    lifecycle.postpone([owner(held)], 0, "later")
    rows("UPDATE notifications SET throttled_since = throttled_since - interval '100 s' WHERE id = %s", held.id)
    [again] = lifecycle.claim([held.id], uuid4(), at_once=())
    assert 100 <= again.throttled_for < 200
    return again


def test_the_time_of_the_first_throttling_is_kept_until_the_provider_accepts() -> None:
    held = throttled()
    since = row(held.id)["throttled_since"]
    lifecycle.postpone([owner(held)], 0, "later")
    [held] = lifecycle.claim([held.id], WORKER)
    lifecycle.release([owner(held)])
    [held] = lifecycle.claim([held.id], uuid4())
    rescue()
    assert (status(held.id), row(held.id)["throttled_since"]) == ("pending", since)


@pytest.mark.parametrize("outcome", ["sent", "retry", "failed"])
def test_any_outcome_ends_the_throttling(outcome: str) -> None:
    held = throttled()
    settlement = {
        "sent": lifecycle.sent(held, attempt()),
        "retry": lifecycle.retry(held, attempt("deferred"), 60),
        "failed": lifecycle.failed(held, attempt("deferred"), "exhausted"),
    }[outcome]
    assert settle(settlement)
    assert row(held.id)["throttled_since"] is None


def test_a_retry_by_an_operator_ends_the_throttling() -> None:
    held = throttled()
    lifecycle.begin(Sending(row(held.id)["claimed_by"], [held.id]))
    assert rescue(max_attempts=1) == [held.id]
    assert status(held.id) == "failed"
    assert lifecycle.redrive(held.id, CLIENT, GRACE)
    assert row(held.id)["throttled_since"] is None


# rescue, of workers of versions before the record


def of_an_older_version(ids: list[int], worker: UUID, list_of: dict[int, int]) -> list[Claimed]:
    """Claimed as a worker of a version before did it: each row tells the list that it was claimed with, from 0 on."""
    held = lifecycle.claim(ids, worker, at_once=())
    for id in ids:
        rows("UPDATE notifications SET claimed_list = %s WHERE id = %s", list_of[id], id)
    return held


def test_the_first_two_rows_of_an_older_workers_list_may_have_been_begun() -> None:
    ids, worker = accepted(10), uuid4()
    held = of_an_older_version(ids, worker, {id: place // 5 for place, id in enumerate(ids)})
    settle(lifecycle.sent(held[0], attempt()))
    assert sorted(rescue()) == ids[1:]
    assert lost(ids) == [*ids[1:3], *ids[5:7]]


def test_older_and_newer_workers_are_distinguished() -> None:
    old, new, worker = accepted(4), accepted(4), uuid4()
    of_an_older_version(old, uuid4(), dict.fromkeys(old, 0))
    lifecycle.claim(new, worker, at_once=new[3:])
    assert sorted(rescue()) == [*old, *new]
    assert lost([*old, *new]) == [*old[:2], new[3]]


def test_the_record_of_a_worker_is_kept_as_long_as_it_holds_a_row() -> None:
    gone, holding, living = uuid4(), uuid4(), alive(uuid4())
    [id] = accepted()
    lifecycle.claim([id], holding, at_once=())
    for worker in (gone, holding, living):
        lifecycle.begin(Sending(worker, [id]))
    rows("UPDATE sending SET at = at - interval '100 s'")
    workers.forget(60)
    assert set(recorded()) == {holding, living}
    rescue()
    workers.forget(60)
    assert set(recorded()) == {living}
