"""The rows that the relay enqueues again, and those that it leaves."""

from __future__ import annotations

import time
from uuid import uuid4

import pytest

from db import lifecycle, workers
from db.database import rows
from db.lifecycle import relay
from tests.integration.rows import GRACE, WORKER, accepted, alive, claimed, draft, passed

pytestmark = pytest.mark.usefixtures("store")


def due(oldest_message: float = 0, most: int = 100) -> list[int]:
    return [d.id for d in relay.take_due("normal", GRACE, oldest_message, most)]


def test_a_fresh_row_is_left_to_the_wake_up_message_of_its_accept() -> None:
    accepted()
    assert due() == []


def test_a_row_still_pending_after_the_grace_is_enqueued_again_once() -> None:
    [id] = accepted()
    passed(GRACE + 1, id)
    assert due() == [id]
    assert due() == []


def test_a_claimed_row_is_not_enqueued() -> None:
    held = claimed()
    passed(GRACE + 1, held.id)
    assert due() == []


def test_a_retry_is_enqueued_when_its_delay_and_the_grace_are_over() -> None:
    [id] = accepted()
    rows("UPDATE notifications SET dispatch_after = now() + interval '60 seconds' WHERE id = %s", id)
    assert due() == []
    passed(61, id)
    assert due() == [id]


def test_a_row_enqueued_after_the_oldest_waiting_message_is_not_enqueued_again() -> None:
    before, after = accepted(2)
    passed(GRACE + 30, before)
    passed(GRACE + 10, after)
    assert due(oldest_message=25) == [before]
    assert due(oldest_message=0) == [after]


def test_the_relay_takes_the_oldest_rows_first_and_no_more_than_asked() -> None:
    ids = accepted(5)
    for age, id in enumerate(ids):
        passed(GRACE + 1 + age, id)
    assert due(most=2) == ids[3:]
    assert due(most=2) == ids[1:3]


def test_released_rows_are_due_at_once() -> None:
    held = claimed()
    lifecycle.release([(held.id, held.claim)])
    assert due() == [held.id]


def test_rescued_rows_are_marked_for_a_message_of_their_own() -> None:
    held = claimed(uuid4())
    lifecycle.rescue(alive(WORKER, steady_for=100), 30, 600, 5, 10)
    assert [(d.id, d.alone) for d in relay.take_due("normal", GRACE, 0, 10)] == [(held.id, True)]


def test_only_the_threads_of_live_workers_count() -> None:
    alive(uuid4())
    alive(uuid4())
    alive(uuid4(), seen_ago=31)
    assert workers.live_workers(30).threads == 16


def test_a_worker_is_steady_until_a_gap() -> None:
    worker = alive(uuid4(), steady_for=100, seen_ago=9)
    workers.seen(workers.Heartbeat(worker, "host", 1, 8), 30)
    [(steady,)] = rows("SELECT steady_since < now() - interval '99 seconds' FROM workers WHERE id = %s", str(worker))
    assert steady
    alive(worker, steady_for=100, seen_ago=11)
    workers.seen(workers.Heartbeat(worker, "host", 1, 8), 30)
    [(age,)] = rows("SELECT extract(epoch FROM now() - steady_since) FROM workers WHERE id = %s", str(worker))
    assert age < 50  # and not the hundred from before


def test_a_worker_that_shut_down_and_one_long_dead_are_deleted() -> None:
    polite, live = alive(uuid4()), alive(uuid4())
    alive(uuid4(), seen_ago=100)
    workers.gone(polite)
    workers.forget(99)
    assert rows("SELECT id FROM workers") == [(live,)]


def test_all_workers_know_the_oldest_message_that_a_live_worker_has_not_begun() -> None:
    now = time.time()
    for age, seen_ago in ((5, 0), (20, 0), (500, 31)):
        worker = uuid4()
        workers.seen(workers.Heartbeat(worker, "host", 1, 8, {"bulk": now - age}), 30)
        rows("UPDATE workers SET seen_at = now() - %s * interval '1 second' WHERE id = %s", seen_ago, str(worker))
    [(priority, oldest)] = workers.live_workers(30).oldest_messages.items()
    assert priority == "bulk"
    assert 20 <= oldest < 500


def test_a_notification_that_was_never_enqueued_is_relayed_at_once() -> None:
    held = claimed()
    [enqueued] = accepted()
    passed(GRACE + 1, enqueued)
    lifecycle.release([(held.id, held.claim)])
    assert due(oldest_message=1000) == [held.id]
    assert due(oldest_message=0) == [enqueued]


def owned(client: int, count: int) -> list[int]:
    """So many rows of a client's that are due."""
    ids = [a.id for a in lifecycle.accept([draft()._replace(client_id=client)] * count, GRACE)]
    for id in ids:
        passed(GRACE + 1, id)
    return ids


def test_each_client_gets_a_share_whatever_the_backlog_of_another() -> None:
    owned(1, 60)
    [little] = owned(2, 1)
    others = owned(3, 2)
    taken = relay.take_due("normal", GRACE, 0, 30)
    assert {little, *others} <= {d.id for d in taken}
    assert {d.client for d in taken} == {1, 2, 3}
    assert len(taken) == 13


def test_each_priority_is_taken_separately() -> None:
    [high, bulk] = [
        a.id for priority in ("high", "bulk") for a in lifecycle.accept([draft()._replace(queue=priority)], GRACE)
    ]
    for id in (high, bulk):
        passed(GRACE + 1, id)
    assert due() == []
    assert [d.id for d in relay.take_due("bulk", GRACE, 0, 9)] == [bulk]
    assert [d.id for d in relay.take_due("high", GRACE, 0, 9)] == [high]
