"""Notifications with `hold` that wait for evidence: their transitions, and the rows that crashes leave."""

from __future__ import annotations

import time
from uuid import uuid4

import pytest

from db import lifecycle, look_ups, pauses, providers, suppressions, waiting
from db.database import Unacceptable, connection, rows
from db.lifecycle import Spacing, evidence, relay
from db.lifecycle.evidence import Evidence, Waiting
from db.records import Claimed, EvidenceWait, Settlement, Times
from db.suppressions import Entry
from tests.integration.rows import CLIENT, GRACE, WORKER, alive, attempt, draft, history, in_seconds, row, status

pytestmark = pytest.mark.usefixtures("store")

PROVIDER = "mail:25"
SPACING = Spacing(5, 10, 60)


def in_doubt(wait: float = 900, *, failover: str = "safe", doubted: bool = True) -> Claimed:
    """A notification with `hold` whose content is about to go out."""
    [stored] = lifecycle.accept([draft()._replace(on_uncertain="hold", failover=failover)], GRACE)
    [held] = lifecycle.claim([stored.id], WORKER)
    if doubted:
        doubt(held, wait)
    return held


def doubt(held: Claimed, wait: float = 900) -> bool:
    return bool(lifecycle.doubt([(held.id, held.claim)], {held.id: EvidenceWait(wait, PROVIDER)}))


def settle(settlement: Settlement) -> bool:
    return bool(lifecycle.settle([settlement], GRACE, time.monotonic()))


def awaiting(wait: float = 900) -> Claimed:
    held = in_doubt(wait)
    assert settle(lifecycle.awaiting(held, attempt("uncertain", "no answer")))
    return held


def over(id: int) -> None:
    """Let the time for evidence be over."""
    rows(
        "UPDATE notifications SET evidence_until = now() - interval '1 second',"
        " next_attempt_at = CASE WHEN status = 'pending' THEN now() - interval '1 second' END WHERE id = %s",
        id,
    )


def rescue() -> list[int]:
    return lifecycle.rescue(alive(uuid4(), steady_for=100), 30, 600, 5, 100)


def prove(id: int, kind: str = "taken") -> bool:
    klass = "policy" if kind == "bounced" else None
    said = Evidence(id, 7, PROVIDER, kind, False, "a@example.com", klass, None, "so", None, None)
    evidence.record(said)
    return evidence.apply(Waiting(id, said.digest))


def replayed() -> list[int]:
    return lifecycle.replay([PROVIDER], SPACING, 10)


# processing -> pending, waiting


def test_an_attempt_without_an_answer_waits_for_evidence_and_is_bound_to_its_provider() -> None:
    stored = row(awaiting().id)
    assert (stored["status"], stored["attempt_count"], stored["bound_provider"]) == ("pending", 1, PROVIDER)
    assert stored["next_attempt_at"] == stored["evidence_until"]
    assert in_seconds(880) < stored["evidence_until"] <= in_seconds(900)
    assert stored["doubt_until"] is None
    assert stored["last_error"] == "no answer"


def test_a_notification_that_waits_for_evidence_is_bound_to_its_provider_with_any_failover() -> None:
    held = in_doubt(failover="always")
    assert settle(lifecycle.awaiting(held, attempt("uncertain")))
    assert row(held.id)["bound_provider"] == PROVIDER


def test_only_a_row_in_processing_can_begin_to_wait_for_evidence() -> None:
    held = awaiting()
    assert not settle(lifecycle.awaiting(held, attempt("uncertain")))
    assert history(held.id) == ["uncertain"]


def test_a_stale_owner_cannot_make_a_row_wait_for_evidence() -> None:
    held = in_doubt(doubted=False)
    lifecycle.release([(held.id, held.claim)])
    lifecycle.claim([held.id], uuid4())
    assert not doubt(held)
    assert not settle(lifecycle.awaiting(held, attempt("uncertain")))
    assert (status(held.id), history(held.id)) == ("processing", [])


def test_without_a_recorded_time_the_wait_is_over_at_once() -> None:
    held = in_doubt(doubted=False)
    lifecycle.doubt([(held.id, held.claim)])
    assert settle(lifecycle.awaiting(held, attempt("uncertain")))
    assert lifecycle.give_up(10) == [held.id]


@pytest.mark.parametrize("outcome", ["deferred", "released", "postponed"])
def test_an_attempt_that_the_provider_certainly_did_not_take_does_not_wait(outcome: str) -> None:
    held = in_doubt()
    if outcome == "deferred":
        settle(lifecycle.retry(held, attempt("deferred"), 0))
    elif outcome == "released":
        lifecycle.release([(held.id, held.claim)])
    else:
        lifecycle.postpone([(held.id, held.claim)], 0, "slower")
    stored = row(held.id)
    assert (stored["status"], stored["evidence_until"], stored["doubt_until"]) == ("pending", None, None)
    assert lifecycle.claim([held.id], WORKER)


def test_the_database_refuses_a_wait_without_hold() -> None:
    held = awaiting()
    with pytest.raises(Unacceptable), connection():
        rows("UPDATE notifications SET on_uncertain = 'resend' WHERE id = %s", held.id)


# While it waits


def test_no_worker_claims_a_row_that_waits_for_evidence_before_or_after_its_time() -> None:
    held = awaiting()
    assert lifecycle.claim([held.id], WORKER) == []
    over(held.id)
    assert lifecycle.still_due([held.id]) == [held.id]
    assert lifecycle.claim([held.id], WORKER) == []


def test_the_relay_does_not_enqueue_a_row_that_waits_for_evidence() -> None:
    held = awaiting()
    over(held.id)
    assert relay.take_due("normal", GRACE, 0, 100) == []


def test_a_pause_and_its_end_do_not_change_a_row_that_waits_for_evidence() -> None:
    held = awaiting()
    pauses.pause("client", str(CLIENT))
    assert relay.take_due("normal", GRACE, 0, 100) == []
    pauses.resume("client", str(CLIENT))
    assert pauses.bring_back("client", str(CLIENT), 10) == 0
    assert lifecycle.claim([held.id], WORKER) == []


def test_a_suppression_does_not_hide_that_it_may_have_been_sent() -> None:
    held = awaiting()
    suppressions.add(CLIENT, Entry("a@example.com"))
    over(held.id)
    assert lifecycle.suppress([held.id]) == []
    assert status(held.id) == "pending"


def test_rescue_leaves_a_row_that_waits_for_evidence() -> None:
    held = awaiting()
    assert rescue() == []
    assert status(held.id) == "pending"


def test_a_notification_that_waits_for_evidence_shows_the_reason() -> None:
    held = awaiting()
    [*_, reason] = waiting.reasons(held.id, CLIENT, 30, [])
    assert (reason.kind, reason.name, reason.until) == ("evidence", PROVIDER, row(held.id)["evidence_until"])


# pending -> failed


def test_a_row_that_waits_for_evidence_fails_when_its_time_is_over_and_not_before() -> None:
    held = awaiting()
    assert lifecycle.give_up(10) == []
    over(held.id)
    assert lifecycle.give_up(10) == [held.id]
    stored = row(held.id)
    assert (stored["status"], stored["failure_reason"]) == ("failed", "outcome-unknown")
    assert stored["evidence_until"] is None
    assert lifecycle.give_up(10) == []


def test_only_rows_that_wait_for_evidence_are_given_up() -> None:
    [stored] = lifecycle.accept([draft()._replace(on_uncertain="hold")], GRACE)
    rows("UPDATE notifications SET next_attempt_at = now() - interval '1 day' WHERE id = %s", stored.id)
    assert lifecycle.give_up(10) == []


def test_a_notification_that_expires_during_the_wait_fails_as_outcome_unknown() -> None:
    held = awaiting()
    rows("UPDATE notifications SET expires_at = now() - interval '1 second' WHERE id = %s", held.id)
    assert lifecycle.expire(10) == [held.id]
    assert row(held.id)["failure_reason"] == "outcome-unknown"


# -> sent, by evidence


@pytest.mark.parametrize("kind", ["taken", "delayed", "delivered", "bounced"])
def test_evidence_during_the_wait_settles_the_notification(kind: str) -> None:
    held = awaiting()
    assert prove(held.id, kind)
    stored = row(held.id)
    assert (stored["status"], stored["evidence_until"], stored["attempt_count"]) == ("sent", None, 1)
    assert stored["delivery_status"] == {"taken": None, "delayed": "unconfirmed"}.get(kind, kind)
    assert rows("SELECT report_id FROM attempts WHERE notification_id = %s", held.id) == [(7,)]
    assert lifecycle.give_up(10) == []


def test_evidence_after_the_wait_settles_the_notification() -> None:
    held = awaiting()
    over(held.id)
    lifecycle.give_up(10)
    assert prove(held.id)
    assert (status(held.id), row(held.id)["failure_reason"]) == ("sent", None)


# What operators do


def test_a_notification_that_waits_for_evidence_can_be_cancelled() -> None:
    held = awaiting()
    assert lifecycle.cancel(held.id, CLIENT)
    assert (status(held.id), row(held.id)["evidence_until"]) == ("cancelled", None)
    assert not prove(held.id)
    assert status(held.id) == "cancelled"


def test_a_retry_ends_the_wait_and_sends_it_again_through_any_provider() -> None:
    held = awaiting()
    assert lifecycle.redrive(held.id, CLIENT, GRACE)
    stored = row(held.id)
    assert (stored["evidence_until"], stored["bound_provider"], stored["retry_count"]) == (None, None, 0)
    [again] = lifecycle.claim([held.id], WORKER)
    assert again.claim == held.claim + 1


def test_a_notification_that_waits_for_evidence_cannot_be_rescheduled_but_its_expiry_can_change() -> None:
    held = awaiting()
    until = row(held.id)["evidence_until"]
    assert not lifecycle.reschedule(held.id, CLIENT, Times(sends=True, send_at=None, expires=False, expires_at=None))
    later = in_seconds(5)
    assert lifecycle.reschedule(held.id, CLIENT, Times(sends=False, send_at=None, expires=True, expires_at=later))
    stored = row(held.id)
    assert (stored["expires_at"], stored["next_attempt_at"], stored["evidence_until"]) == (later, until, until)


# pending -> pending, due again


def test_a_provider_that_recognises_repetitions_gets_the_notification_again() -> None:
    held = awaiting()
    assert replayed() == [held.id]
    assert in_seconds(8) < row(held.id)["next_attempt_at"] <= in_seconds(10)
    assert replayed() == []
    rows("UPDATE notifications SET next_attempt_at = now(), dispatch_after = now() WHERE id = %s", held.id)
    assert [due.id for due in relay.take_due("normal", GRACE, 0, 100)] == [held.id]
    [again] = lifecycle.claim([held.id], WORKER)
    assert (again.bound_provider, again.retry_count) == (PROVIDER, 1)


@pytest.mark.parametrize("reason", ["provider", "attempts", "time", "over"])
def test_a_notification_that_must_not_be_repeated_is_not_due_again(reason: str) -> None:
    held = awaiting(5 if reason == "time" else 900)
    if reason == "over":
        over(held.id)
    names = ["other"] if reason == "provider" else [PROVIDER]
    attempts = 1 if reason == "attempts" else 5
    assert lifecycle.replay(names, SPACING._replace(attempts=attempts), 10) == []


def replaying() -> Claimed:
    """One that is being sent again."""
    held = awaiting()
    assert replayed() == [held.id]
    rows("UPDATE notifications SET next_attempt_at = now() WHERE id = %s", held.id)
    [again] = lifecycle.claim([held.id], WORKER)
    return again


def test_an_answered_repetition_settles_the_notification() -> None:
    again = replaying()
    assert doubt(again)
    assert settle(lifecycle.sent(again, attempt()))
    assert (status(again.id), row(again.id)["evidence_until"]) == ("sent", None)
    assert history(again.id) == ["uncertain", "sent"]


def test_repetitions_do_not_extend_the_wait() -> None:
    again = replaying()
    until = row(again.id)["evidence_until"]
    assert doubt(again, 9_000)
    assert settle(lifecycle.awaiting(again, attempt("uncertain")))
    assert row(again.id)["evidence_until"] == until


@pytest.mark.parametrize("outcome", ["deferred", "released", "postponed"])
def test_a_postponed_repetition_still_waits_for_evidence(outcome: str) -> None:
    again = replaying()
    until = row(again.id)["evidence_until"]
    if outcome == "deferred":
        settle(lifecycle.retry(again, attempt("deferred"), 0))
    elif outcome == "released":
        lifecycle.release([(again.id, again.claim)])
    else:
        lifecycle.postpone([(again.id, again.claim)], 0, "slower")
    assert row(again.id)["evidence_until"] == until
    assert lifecycle.claim([again.id], WORKER)


def test_no_repetition_begins_after_the_wait() -> None:
    again = replaying()
    over(again.id)
    assert not doubt(again)


# Crashes


def test_a_worker_that_dies_before_the_answer_leaves_a_row_that_waits_for_evidence() -> None:
    held = in_doubt()
    assert rescue() == [held.id]
    stored = row(held.id)
    assert (stored["status"], stored["bound_provider"], history(held.id)) == ("pending", PROVIDER, ["lost"])
    assert stored["next_attempt_at"] == stored["evidence_until"]
    assert lifecycle.claim([held.id], WORKER) == []
    assert prove(held.id)
    assert status(held.id) == "sent"


def test_a_worker_that_dies_before_the_content_leaves_a_row_that_any_provider_may_send() -> None:
    held = in_doubt(doubted=False)
    assert rescue() == [held.id]
    assert (row(held.id)["evidence_until"], row(held.id)["bound_provider"]) == (None, None)


@pytest.mark.parametrize("doubted", [False, True])
def test_a_worker_that_dies_during_a_repetition_leaves_a_row_that_still_waits(*, doubted: bool) -> None:
    again = replaying()
    until = row(again.id)["evidence_until"]
    if doubted:
        assert doubt(again)
    rows("UPDATE notifications SET retry_count = 4, attempt_count = 4 WHERE id = %s", again.id)
    assert rescue() == [again.id]
    stored = row(again.id)
    assert (stored["status"], stored["evidence_until"], stored["next_attempt_at"]) == ("pending", until, until)


def test_a_worker_that_hangs_beyond_the_wait_leaves_a_row_that_fails_at_once() -> None:
    held = in_doubt()
    rows("UPDATE notifications SET doubt_until = now() - interval '1 second' WHERE id = %s", held.id)
    assert rescue() == [held.id]
    assert lifecycle.give_up(10) == [held.id]


# Look-ups


def test_one_worker_at_a_time_asks_a_provider_about_unknown_outcomes() -> None:
    providers.report(PROVIDER, {"channel": "email"})
    held = awaiting()
    [asked] = look_ups.take(PROVIDER, 10)
    assert (asked.id, asked.recipient) == (held.id, "a@example.com")
    assert asked.since < in_seconds(0)
    assert look_ups.take(PROVIDER, 10) == []


def test_a_notification_is_looked_up_at_growing_intervals_during_its_wait() -> None:
    providers.report(PROVIDER, {"channel": "email"})
    held = awaiting()
    delays = []
    for _ in range(9):
        assert [one.id for one in look_ups.take(PROVIDER, 10)] == [held.id]
        [(delay,)] = rows("SELECT extract(epoch FROM due_at - now())::float8 FROM look_ups")
        delays.append(round(delay))
        rows("UPDATE look_ups SET due_at = now()")
        look_ups.rest(PROVIDER, 0)
    assert delays == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    prove(held.id)
    assert look_ups.take(PROVIDER, 10) == []
    rows("UPDATE look_ups SET due_at = now() - interval '1 day'")
    look_ups.forget()
    assert rows("SELECT 1 FROM look_ups") == []


def test_a_provider_that_does_not_answer_a_look_up_is_not_asked_for_a_while() -> None:
    providers.report(PROVIDER, {"channel": "email"})
    awaiting()
    look_ups.rest(PROVIDER, 60)
    assert look_ups.take(PROVIDER, 10) == []
