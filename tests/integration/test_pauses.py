"""Paused notifications are accepted, stored and not sent; after the resume all are sent."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from uuid import uuid4

import pytest

from actors import relay as relaying
from db import lifecycle, pauses
from db.database import connection, database, rows
from db.lifecycle import relay
from db.records import Times
from tests.eventually import eventually
from tests.integration.racing import ROUNDS, at_once
from tests.integration.rows import CLIENT, GRACE, WORKER, accepted, attempt, claimed, draft, passed, row, status
from tests.integration.test_upkeep import upkeep
from tests.integration.test_wake_ups import lists

pytestmark = pytest.mark.usefixtures("store")

MINE = ("client", str(CLIENT))
MAIL = ("channel", "email")
HOUR = 3600.0
OFF = ("disabled", str(CLIENT))
both = pytest.mark.parametrize("held", [MINE, MAIL, OFF])


def due() -> list[int]:
    return [d.id for d in relay.take_due("normal", GRACE, 0, 100, HOUR) if not d.parked]


def overdue(count: int = 1) -> list[int]:
    ids = accepted(count)
    for id in ids:
        passed(GRACE + 1, id)
    return ids


def foreign() -> int:
    """Store a notification of another client and return its id."""
    [one] = lifecycle.accept([draft()._replace(client_id=2)], GRACE)
    return one.id


@both
def test_a_paused_notification_is_not_claimed_until_the_resume(held: tuple[str, str]) -> None:
    [id] = accepted()
    pauses.pause(*held)
    assert lifecycle.claim([id], WORKER) == []
    pauses.resume(*held)
    assert [c.id for c in lifecycle.claim([id], WORKER)] == [id]


def test_a_client_is_paused_alone() -> None:
    pauses.pause(*MINE)
    id = foreign()
    assert lifecycle.claim([id], WORKER)
    other = foreign()
    passed(GRACE + 1, other)
    assert due() == [other]


@both
def test_the_relay_parks_paused_notifications_and_does_not_read_them_again(held: tuple[str, str]) -> None:
    ids = overdue(3)
    pauses.pause(*held)
    assert [d.parked for d in relay.take_due("normal", GRACE, 0, 100, HOUR)] == [True] * 3
    assert relay.take_due("normal", GRACE, 0, 100, HOUR) == []
    waits = rows("SELECT extract(epoch FROM dispatch_after - now())::float8 FROM notifications")
    assert len(waits) == 3
    assert all(HOUR / 2 < wait <= HOUR for (wait,) in waits)
    assert all(row(id)["parked"] and not row(id)["rung"] for id in ids)


@both
def test_parked_notifications_return_after_the_resume_and_the_pause_is_deleted(held: tuple[str, str]) -> None:
    ids = overdue(5)
    pauses.pause(*held)
    assert due() == []
    pauses.resume(*held)
    assert [p[:2] for p in pauses.resumed()] == [held]
    assert pauses.bring_back(*held, 3) == 3
    pauses.forget(*held)
    assert pauses.resumed()
    assert pauses.bring_back(*held, 3) == 2
    pauses.forget(*held)
    assert rows("SELECT FROM pauses") == []
    assert sorted(due()) == ids
    assert not any(row(id)["parked"] for id in ids)


def test_a_notification_under_two_pauses_comes_back_after_both() -> None:
    ids = overdue(2)
    pauses.pause(*MINE)
    pauses.pause(*MAIL)
    assert due() == []
    pauses.resume(*MINE)
    assert pauses.bring_back(*MINE, 10) == 0
    pauses.forget(*MINE)
    assert pauses.resumed() == []
    assert due() == []
    pauses.resume(*MAIL)
    assert pauses.bring_back(*MAIL, 10) == 2
    assert sorted(due()) == ids


def test_a_parked_notification_that_is_due_later_returns_when_it_is_due() -> None:
    held = claimed()
    pauses.pause(*MINE)
    lifecycle.settle([lifecycle.retry(held, attempt("deferred"), 600)], GRACE, time.monotonic())
    rows("UPDATE notifications SET dispatch_after = now()")
    assert due() == []
    pauses.resume(*MINE)
    pauses.bring_back(*MINE, 10)
    stored = row(held.id)
    assert stored["dispatch_after"] == stored["next_attempt_at"]


def test_a_pause_set_again_during_a_resume_holds_the_rest() -> None:
    overdue(2)
    pauses.pause(*MINE)
    due()
    pauses.resume(*MINE)
    pauses.pause(*MINE)
    assert pauses.resumed() == []
    assert pauses.bring_back(*MINE, 10) == 0
    pauses.forget(*MINE)
    assert [p[:2] for p in pauses.in_force(CLIENT)] == [MINE]


def test_pausing_twice_keeps_the_first_time() -> None:
    first = pauses.pause(*MINE)
    assert pauses.pause(*MINE) == first
    assert first.since is not None
    pauses.resume(*MINE)
    assert pauses.resume(*MINE).since is None


def test_a_client_sees_only_its_own_pauses() -> None:
    for held in (MINE, MAIL, ("client", "2")):
        pauses.pause(*held)
    assert {p[:2] for p in pauses.in_force(CLIENT)} == {MINE, MAIL}


def test_a_notification_being_sent_at_the_pause_is_finished() -> None:
    held = claimed()
    pauses.pause(*MINE)
    assert lifecycle.settle([lifecycle.sent(held, attempt())], GRACE, time.monotonic())
    assert status(held.id) == "sent"


def test_a_parked_notification_can_be_cancelled_rescheduled_or_expired() -> None:
    cancelled, moved, late = overdue(3)
    pauses.pause(*MINE)
    due()
    assert lifecycle.cancel(cancelled, CLIENT)
    assert lifecycle.reschedule(moved, CLIENT, Times(True, None, False, None))
    rows("UPDATE notifications SET expires_at = now() WHERE id = %s", late)
    assert lifecycle.expire(10) == [late]
    assert due() == []
    pauses.resume(*MINE)
    assert pauses.bring_back(*MINE, 10) == 1
    assert due() == [moved]


def test_a_failed_notification_retried_during_a_pause_waits() -> None:
    held = claimed()
    lifecycle.settle([lifecycle.failed(held, attempt("refused"), "rejected")], GRACE, time.monotonic())
    pauses.pause(*MINE)
    assert lifecycle.redrive(held.id, CLIENT, GRACE)
    assert lifecycle.claim([held.id], WORKER) == []
    passed(GRACE + 1, held.id)
    assert due() == []
    assert row(held.id)["parked"]


def test_a_claim_after_the_resume_clears_the_mark_parked() -> None:
    [id] = overdue()
    pauses.pause(*MINE)
    due()
    pauses.resume(*MINE)
    assert lifecycle.claim([id], WORKER)
    assert not row(id)["parked"]
    assert pauses.bring_back(*MINE, 10) == 0


def test_a_resume_during_a_relay_leaves_no_notification_parked() -> None:
    """Whichever comes first, each notification is either enqueued by the relay or brought back after the resume."""
    for _ in range(ROUNDS):
        ids = overdue(20)
        pauses.pause(*MINE)
        results = at_once([partial(relay.take_due, "normal", GRACE, 0, 100, HOUR), partial(pauses.resume, *MINE)])
        [met] = [result for result in results if isinstance(result, list)]
        parked = [d.id for d in met if d.parked]
        assert pauses.bring_back(*MINE, 100) == len(parked)
        pauses.forget(*MINE)
        assert rows("SELECT FROM pauses") == []
        assert rows("SELECT FROM notifications WHERE parked") == []
        assert sorted([d.id for d in met if not d.parked] + due()) == ids
        lifecycle.claim(ids, uuid4())


def test_a_resume_waits_for_a_relay_that_has_read_the_pause() -> None:
    overdue(1)
    pauses.pause(*MINE)
    with database.atomic():
        assert due() == []
        at_once_later = partial(at_once, [partial(_impatiently, partial(pauses.resume, *MINE))])
        assert at_once_later() == ["waited"]
    assert at_once([partial(pauses.resume, *MINE)])
    assert pauses.bring_back(*MINE, 10) == 1


def _impatiently(call: Callable[[], object]) -> str:
    rows("SET lock_timeout = '100ms'")
    try:
        with connection():
            call()
    except Exception as error:  # noqa: BLE001 - which one it was is what is asked
        return "waited" if "lock timeout" in str(error) else str(error)
    return "did not wait"


def test_simultaneous_resumes_return_each_row_once() -> None:
    ids = overdue(200)
    pauses.pause(*MINE)
    relay.take_due("normal", GRACE, 0, 1000, HOUR)
    pauses.resume(*MINE)
    assert sum(at_once([partial(pauses.bring_back, *MINE, 60)] * 4)) == 200
    assert sorted(d.id for d in relay.take_due("normal", GRACE, 0, 1000, HOUR)) == ids


# upkeep


@pytest.mark.usefixtures("redis_url")
def test_a_round_of_upkeep_enqueues_only_notifications_that_are_not_paused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relaying, "BATCH", 10)
    overdue(30)
    other = foreign()
    passed(GRACE + 1, other)
    pauses.pause(*MINE)
    upkeep(uuid4()).tick()
    assert lists() == [[other]]
    assert rows("SELECT count(*) FROM notifications WHERE parked") == [(30,)]


@pytest.mark.usefixtures("redis_url")
def test_a_round_of_upkeep_after_the_resume_enqueues_all_and_deletes_the_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relaying, "BATCH", 10)
    ids = overdue(30)
    pauses.pause(*MAIL)
    one = upkeep(uuid4())
    one.tick()
    assert lists() == []
    pauses.resume(*MAIL)

    def back() -> bool:
        one.tick()
        return sorted(id for ids in lists() for id in ids) == ids

    eventually(back)
    assert rows("SELECT FROM pauses") == []
