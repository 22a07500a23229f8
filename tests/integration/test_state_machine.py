"""Transitions in any order by any owner, stale ones too, compared with a model of ten lines."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from db import lifecycle, listeners, pauses
from db.database import rows
from db.lifecycle import evidence, relay
from db.lifecycle.evidence import Evidence
from db.records import Claimed, EvidenceWait, Sending, Times
from tests.integration.rows import (
    CLIENT,
    GRACE,
    accepted,
    alive,
    attempt,
    draft,
    history,
    in_seconds,
    passed,
    row,
    suppressed,
)

MAX_ATTEMPTS = 3
ENDS = ["sent", "failed", "cancelled"]
LADDER = ["", "delayed", "delivered", "bounced", "complained"]


@dataclass
class Expected:
    status: str = "pending"
    claim: int = 0
    attempts: int = 0
    retries: int = 0
    worker: int | None = None
    ends: int = 0
    at_once: bool = False
    lost: bool = False  # a worker died that may have begun it
    throttled: bool = False
    hold: bool = False
    doubted: bool = False  # the content may be going out
    waits: bool = False  # for evidence
    again: bool = False  # it waits, and may be sent again
    unanswered: bool = False  # an attempt had no answer
    reason: str = ""  # of a failure after which a report can prove that it was sent
    told: int = 0  # place on LADDER of the highest event that has taken effect
    known: set[int] = field(default_factory=set)
    waiting: list[int] = field(default_factory=list)
    changes: list[str] = field(default_factory=lambda: ["accepted"])

    def apply_reports(self) -> None:
        proved = self.unanswered and (self.status == "pending" or (self.status == "failed" and self.reason != ""))
        if not self.waiting or not (self.status == "sent" or proved):
            return
        if self.status != "sent":
            self.changes.append("sent")
            self.status, self.ends, self.throttled, self.waits = "sent", self.ends + 1, False, False
        for told in self.waiting:
            if told > self.told:
                self.changes.append(LADDER[told])
                self.told = told
        self.waiting = []

    @property
    def claimable(self) -> bool:
        return self.status == "pending" and (not self.waits or self.again)

    @property
    def suspect(self) -> bool:
        return self.lost and self.retries >= 2

    def end_attempt(self, status: str, change: str = "") -> None:
        self.doubted, self.waits = False, self.waits and status == "pending"
        self.changes.append(change or {"pending": "retry"}.get(status, status))
        self.status, self.worker = status, None
        self.ends += status != "pending"
        self.throttled = False
        self.attempts += 1
        self.retries += status == "pending"


class Life(RuleBasedStateMachine):
    ids: Bundle[int] = Bundle("ids")
    claims: Bundle[tuple[int, Claimed]] = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        rows(
            "TRUNCATE notifications, attempts, workers, sending, pauses, callbacks, events, suppressions, changes,"
            " listeners, evidence RESTART IDENTITY"
        )
        listeners.hold([CLIENT], 3_600)
        rows("INSERT INTO callbacks (client_id, url, description, events, secret) VALUES (1, '', '', %s, '')", ENDS)
        self.model: dict[int, Expected] = {}
        self.sending: dict[int, int] = {}  # by worker, the one that it may have begun
        self.workers = [uuid4() for _ in range(3)]
        self.observer = alive(uuid4(), steady_for=100)
        for worker in self.workers:
            alive(worker, steady_for=100)

    @rule(target=ids, hold=st.booleans())
    def accept(self, *, hold: bool) -> int:
        [one] = lifecycle.accept([draft()._replace(on_uncertain="hold" if hold else "resend")], GRACE)
        self.model[one.id] = Expected(hold=hold)
        return one.id

    @rule(target=ids)
    def accept_suppressed(self) -> int:
        with suppressed():
            [id] = accepted()
        self.model[id] = Expected("failed", ends=1, changes=["failed"])
        return id

    @rule(id=ids, worker=st.integers(0, 2))
    def suppress(self, id: int, worker: int) -> None:
        pending = self.model[id].status == "pending" and not self.model[id].waits
        with suppressed():
            assert not lifecycle.claim([id], self.workers[worker])
            assert lifecycle.suppress([id]) == ([id] if pending else [])
        if pending:
            self.model[id].status = "failed"
            self.model[id].ends += 1
            self.model[id].changes.append("failed")

    @rule(held=claims)
    def bounce(self, held: tuple[int, Claimed]) -> None:
        id, claimed = held
        owned = self.owns(id, claimed)
        settlement = lifecycle.bounced(claimed, attempt("refused"))
        assert bool(lifecycle.settle([settlement], GRACE, time.monotonic())) == owned
        assert len(rows("DELETE FROM suppressions RETURNING address")) == owned
        if owned:
            self.model[id].end_attempt("failed")

    @rule(target=claims, id=ids, worker=st.integers(0, 2), at_once=st.booleans())
    def claim(self, id: int, worker: int, *, at_once: bool) -> tuple[int, Claimed]:
        taken = lifecycle.claim([id], self.workers[worker], [id] if at_once else [])
        expected = self.model[id]
        suspects = {other.worker for other in self.model.values() if other.suspect and other.status == "processing"}
        put_off = expected.claimable and expected.suspect and worker in suspects
        assert bool(taken) == (expected.claimable and not put_off)
        if put_off:
            assert lifecycle.put_off([id]) == [id]
        if taken:
            expected.status, expected.worker, expected.at_once = "processing", worker, at_once
            expected.claim += 1
            expected.changes.append("claimed")
            assert taken[0].claim == expected.claim
            assert taken[0].retry_count == expected.retries
        return (id, taken[0]) if taken else (id, Claimed(id, expected.claim - 1, *[None] * 8))  # type: ignore[arg-type]

    def owns(self, id: int, claimed: Claimed) -> bool:
        expected = self.model[id]
        return expected.status == "processing" and expected.claim == claimed.claim

    @rule(held=claims, status=st.sampled_from(["sent", "pending", "failed", "uncertain", "unknown"]))
    def settle(self, held: tuple[int, Claimed], status: str) -> None:
        id, claimed = held
        owned = self.owns(id, claimed)
        outcomes = {"sent": "sent", "pending": "deferred", "failed": "refused"}
        made = attempt(outcomes.get(status, "uncertain"))
        settlement = {
            "sent": lambda: lifecycle.sent(claimed, made),
            "pending": lambda: lifecycle.retry(claimed, made, 0),
            "failed": lambda: lifecycle.failed(claimed, made, "rejected"),
            "uncertain": lambda: lifecycle.retry(claimed, made, 0),
            "unknown": lambda: lifecycle.failed(claimed, made, "outcome-unknown"),
        }[status]()
        assert bool(lifecycle.settle([settlement], GRACE, time.monotonic())) == owned
        if owned:
            self.model[id].end_attempt({"uncertain": "pending", "unknown": "failed"}.get(status, status))
            self.model[id].unanswered |= status not in outcomes
            self.model[id].reason = "outcome-unknown" if status == "unknown" else ""

    @rule(held=claims)
    def doubt(self, held: tuple[int, Claimed]) -> None:
        id, claimed = held
        if not self.model[id].hold:
            return
        owned = self.owns(id, claimed)
        assert bool(lifecycle.doubt([(id, claimed.claim)], {id: EvidenceWait(900, "mail:25")})) == owned
        self.model[id].doubted |= owned

    @rule(held=claims)
    def wait(self, held: tuple[int, Claimed]) -> None:
        id, claimed = held
        expected, owned = self.model[id], self.owns(id, claimed)
        if owned and not expected.doubted:
            return
        settlement = lifecycle.awaiting(claimed, attempt("uncertain"))
        assert bool(lifecycle.settle([settlement], GRACE, time.monotonic())) == owned
        if owned:
            expected.end_attempt("pending")
            expected.waits, expected.again, expected.unanswered = True, False, True

    @rule()
    def replay(self) -> None:
        due = {id for id, e in self.model.items() if e.status == "pending" and e.waits and not e.again}
        due = {id for id in due if self.model[id].retries < MAX_ATTEMPTS}
        assert set(lifecycle.replay(["mail:25"], lifecycle.Spacing(MAX_ATTEMPTS, 0, 0), 100)) == due
        for id in due:
            self.model[id].again = True
            self.model[id].changes.append("retry")

    @rule(id=ids)
    def give_up(self, id: int) -> None:
        waits = self.model[id].status == "pending" and self.model[id].waits
        assert lifecycle.give_up(100) == []
        if waits:
            rows("UPDATE notifications SET evidence_until = now() - interval '1 second' WHERE id = %s", id)
        assert lifecycle.give_up(100) == ([id] if waits else [])
        if waits:
            self.model[id].status, self.model[id].waits, self.model[id].throttled = "failed", False, False
            self.model[id].reason = "outcome-unknown"
            self.model[id].ends += 1
            self.model[id].changes.append("failed")

    @rule(id=ids, told=st.integers(1, 4))
    def report(self, id: int, told: int) -> None:
        klass = "policy" if LADDER[told] == "bounced" else None
        said = Evidence(id, 1, "api", LADDER[told], False, None, klass, None, "", None, None)
        assert evidence.record(said) == (told not in self.model[id].known)
        if told not in self.model[id].known:
            self.model[id].known.add(told)
            self.model[id].waiting.append(told)
        self.apply_evidence()

    @rule()
    def apply_evidence(self) -> None:
        for waiting in evidence.ready(100):
            assert evidence.apply(waiting)
        for expected in self.model.values():
            expected.apply_reports()

    @rule(held=claims)
    def release(self, held: tuple[int, Claimed]) -> None:
        id, claimed = held
        owned = self.owns(id, claimed)
        assert bool(lifecycle.release([(id, claimed.claim)])) == owned
        if owned:
            self.model[id].status, self.model[id].worker = "pending", None
            self.model[id].doubted = False
            self.model[id].changes.append("released")

    @rule(id=ids, worker=st.integers(0, 2))
    def begin(self, id: int, worker: int) -> None:
        lifecycle.begin(Sending(self.workers[worker], [id]))
        self.sending[worker] = id

    @rule(held=claims)
    def postpone(self, held: tuple[int, Claimed]) -> None:
        id, claimed = held
        owned = self.owns(id, claimed)
        assert bool(lifecycle.postpone([(id, claimed.claim)], 0, "later")) == owned
        if owned:
            self.model[id].status, self.model[id].worker = "pending", None
            self.model[id].throttled, self.model[id].doubted = True, False
            self.model[id].changes.append("released")

    @rule(worker=st.integers(0, 2))
    def rescue(self, worker: int) -> None:
        alive(self.workers[worker], steady_for=100, seen_ago=31)
        abandoned = {id for id, e in self.model.items() if e.status == "processing" and e.worker == worker}
        assert set(lifecycle.rescue(self.observer, 30, 600, MAX_ATTEMPTS, 100)) == abandoned
        alive(self.workers[worker], steady_for=100)
        for id in abandoned:
            waits = self.model[id].waits or self.model[id].doubted
            self.model[id].waits, self.model[id].again = waits, False
            if not (self.model[id].at_once or self.sending.get(worker) == id or self.model[id].doubted):
                self.model[id].status, self.model[id].worker = "pending", None
                self.model[id].changes.append("rescued")
                continue
            if not waits:
                passed(1000, id)  # From the second loss on they come back at different times.
            throttled = self.model[id].throttled
            self.model[id].lost = True
            lost = self.model[id].retries + 1 >= MAX_ATTEMPTS and not waits
            self.model[id].unanswered, self.model[id].reason = True, "exhausted" if lost else ""
            self.model[id].end_attempt(*(("failed",) if lost else ("pending", "rescued")))
            self.model[id].throttled = throttled

    @rule(id=ids)
    def cancel(self, id: int) -> None:
        expected = self.model[id]
        assert lifecycle.cancel(id, CLIENT) == (expected.status == "pending")
        if expected.status == "pending":
            expected.status, expected.waits = "cancelled", False
            expected.ends += 1
            expected.changes.append("cancelled")

    @rule()
    def cancel_all(self) -> None:
        pending = {id for id, e in self.model.items() if e.status == "pending"}
        assert set(lifecycle.cancel_all(CLIENT, 100)) == pending
        for id in pending:
            self.model[id].status, self.model[id].waits = "cancelled", False
            self.model[id].ends += 1
            self.model[id].changes.append("cancelled")

    @rule(id=ids)
    def redrive(self, id: int) -> None:
        expected = self.model[id]
        waits = expected.status == "pending" and expected.waits
        assert lifecycle.redrive(id, CLIENT, GRACE) == (expected.status == "failed" or waits)
        if expected.status == "failed" or waits:
            expected.status, expected.retries, expected.throttled, expected.reason = "pending", 0, False, ""
            expected.waits = False
            expected.changes.append("retried")

    @rule()
    def redrive_all(self) -> None:
        failed = {id for id, e in self.model.items() if e.status == "failed"}
        assert {place.id for place in lifecycle.redrive_all(CLIENT, {}, None, 100)} == failed
        for id in failed:
            self.model[id].status, self.model[id].retries, self.model[id].throttled = "pending", 0, False
            self.model[id].reason = ""
            self.model[id].changes.append("retried")

    @rule(id=ids)
    def reschedule(self, id: int) -> None:
        later = Times(sends=True, send_at=in_seconds(600), expires=False, expires_at=None)
        now = later._replace(send_at=None)
        pending = self.model[id].status == "pending" and not self.model[id].waits
        assert lifecycle.reschedule(id, CLIENT, later) == pending
        if self.model[id].waits:
            return
        assert lifecycle.claim([id], self.workers[0]) == []
        assert lifecycle.reschedule(id, CLIENT, now) == pending
        self.model[id].changes += ["rescheduled"] * 2 * pending

    @rule()
    def pause_and_resume(self) -> None:
        pauses.pause("client", str(CLIENT))
        rows(
            "UPDATE notifications SET dispatch_after = now() WHERE status = 'pending'"
            " AND (evidence_until IS NULL OR next_attempt_at < evidence_until)"
        )
        pending = {id for id, e in self.model.items() if e.claimable}
        assert lifecycle.claim(self.model, self.workers[0]) == []
        assert {due.id for due in relay.take_due("normal", GRACE, 0, 100) if due.parked} == pending
        pauses.resume("client", str(CLIENT))
        assert pauses.bring_back("client", str(CLIENT), 100) == len(pending)
        pauses.forget("client", str(CLIENT))
        assert {due.id for due in relay.take_due("normal", GRACE, 0, 100) if not due.parked} == pending

    @rule(id=ids)
    def expire(self, id: int) -> None:
        rows("UPDATE notifications SET expires_at = now() - interval '1 second' WHERE id = %s", id)
        pending = self.model[id].status == "pending"
        assert lifecycle.expire(100) == ([id] if pending else [])
        rows("UPDATE notifications SET expires_at = NULL WHERE id = %s", id)
        if pending:
            self.model[id].reason = "outcome-unknown" if self.model[id].waits else ""
            self.model[id].status, self.model[id].waits = "failed", False
            self.model[id].ends += 1
            self.model[id].changes.append("failed")

    @invariant()
    def the_rows_are_as_the_model_says(self) -> None:
        for id, expected in self.model.items():
            found = row(id)
            assert (found["status"], found["claim"]) == (expected.status, expected.claim)
            assert (found["attempt_count"], found["retry_count"]) == (expected.attempts, expected.retries)
            assert (found["throttled_since"] is not None) == expected.throttled
            assert (found["evidence_until"] is not None) == expected.waits
            assert (found["in_doubt_since"] is not None) == expected.doubted
            assert found["delivery_status"] == {0: None, 1: "unconfirmed"}.get(expected.told, LADDER[expected.told])
            assert len(history(id)) == expected.attempts
        told = dict(rows("SELECT subject_id, count(*) FROM notifications WHERE type = 'callback' GROUP BY subject_id"))
        assert told == {id: expected.ends for id, expected in self.model.items() if expected.ends}
        noted = dict(rows("SELECT notification_id, array_agg(name ORDER BY id) FROM changes GROUP BY notification_id"))
        assert noted == {id: expected.changes for id, expected in self.model.items()}


@pytest.fixture
def life(store: object) -> type[Life]:
    return Life


def test_no_order_of_transitions_violates_the_documented_life_cycle(life: type[Life]) -> None:
    run_state_machine_as_test(
        life,
        settings=settings(stateful_step_count=30, suppress_health_check=list(HealthCheck)),
    )
