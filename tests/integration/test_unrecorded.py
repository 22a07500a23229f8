"""Outcomes that the database refuses to record, for whatever reason: kept, recorded later, never sent again."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from typing import Any
from unittest import mock
from uuid import uuid4

import psycopg2
import pytest
from dramatiq import Retry
from peewee import OperationalError

from actors import delivery as delivering
from actors import unrecorded
from actors.channels import Receipt
from actors.channels.email import hard_bounce
from actors.channels.email.smtp_sender import SmtpSender
from actors.delivery import Again
from actors.unrecorded import reductions
from db import breaker, lifecycle, workers
from db.database import rows
from db.records import Attempt, Claimed
from settings import Settings
from tests.eventually import eventually
from tests.integration.delivering import Process
from tests.integration.rows import GRACE, accepted, alive, draft, history, passed, row, status
from tests.integration.test_delivery import Make, accept, make, many
from tests.smtp import Reply, SmtpServer

__all__ = ["make"]  # the fixture


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try soon again to record what was not recorded."""
    monkeypatch.setattr(unrecorded, "LONGEST_PAUSE", 0.1)


# Conditions of PostgreSQL (documentation, appendix A) of which each has its own exception in psycopg2.
CONDITIONS = (
    *("insufficient_privilege", "undefined_table", "undefined_column", "syntax_error", "feature_not_supported"),
    *("read_only_sql_transaction", "serialization_failure", "deadlock_detected", "lock_not_available"),
    *("query_canceled", "admin_shutdown", "disk_full", "too_many_connections", "internal_error", "data_corrupted"),
    *("raise_exception", "check_violation", "foreign_key_violation", "unique_violation", "not_null_violation"),
    *("data_exception", "string_data_right_truncation", "in_failed_sql_transaction"),
)


@contextmanager
def refusing(condition: str, when: str = "true", table: str = "attempts") -> Iterator[None]:
    """The database refuses rows of a table with this condition, until the end of the block."""
    rows(
        f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF {when} THEN RAISE {condition} USING MESSAGE = 'refused by a test'; END IF; RETURN new; END $$"
    )
    rows(f"CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION refuse()")
    try:
        yield
    finally:
        eventually(_obeying_again, within=60)


def _obeying_again() -> bool:
    """Drop what refuses; False where a settlement that is tried again was in the way (a deadlock has one victim)."""
    try:
        rows("DROP FUNCTION IF EXISTS refuse CASCADE")
    except OperationalError:
        return False
    return True


@contextmanager
def delivered(process: Process, ids: Sequence[int]) -> Iterator[Future[None]]:
    """Deliver a list in another thread; after the block, wait for its end."""
    with ThreadPoolExecutor(1) as thread:
        ending = thread.submit(process.deliver, ids)
        yield ending
        ending.result(60)


def copies(server: SmtpServer) -> set[int]:
    """Return the distinct numbers of mails that a recipient was sent."""
    return set(Counter(to for mail in server.mails for to in mail.recipients).values())


@pytest.mark.parametrize("condition", CONDITIONS)
def test_an_outcome_is_kept_until_it_is_recorded_whatever_the_error_of_the_database(
    make: Make, smtp_server: SmtpServer, condition: str
) -> None:
    ids = many(5)
    process = make(connections=1)
    with ThreadPoolExecutor(1) as thread:
        with refusing(condition):
            ending = thread.submit(process.deliver, ids)
            eventually(lambda: len(process.unrecorded().ids) == lifecycle.AHEAD)
            assert len(smtp_server.mails) == lifecycle.AHEAD  # nothing new is sent
        eventually(lambda: [status(id) for id in ids] == ["sent"] * 5)
        ending.result(60)
    assert [history(id) for id in ids] == [["sent"]] * 5
    assert copies(smtp_server) == {1}
    assert process.unrecorded() == workers.Unrecorded()


@pytest.mark.parametrize("error", [ZeroDivisionError(), UnicodeEncodeError("latin-1", "ł", 0, 1, "?"), KeyError("id")])
def test_an_internal_error_while_recording_loses_no_outcome(
    make: Make, smtp_server: SmtpServer, error: Exception
) -> None:
    ids, real, failures = many(5), lifecycle.settle, [error] * 6

    def settle(*of: Any) -> Any:
        if failures:
            raise failures.pop()
        return real(*of)

    with mock.patch.object(lifecycle, "settle", settle):
        make().deliver(ids)
    assert [history(id) for id in ids] == [["sent"]] * 5
    assert copies(smtp_server) == {1}


@pytest.mark.parametrize("table", ["notifications", "events", "changes"])
def test_a_table_that_refuses_writes_delays_outcomes_and_nothing_is_sent_twice(
    make: Make, smtp_server: SmtpServer, table: str
) -> None:
    ids = many(4)
    process = make()
    with delivered(process, ids):
        eventually(lambda: smtp_server.mails)
        with refusing("insufficient_privilege", table=table):
            eventually(lambda: smtp_server.mails)
        eventually(lambda: [status(id) for id in ids] == ["sent"] * 4)
    assert copies(smtp_server) == {1}


def test_an_outcome_that_is_never_recorded_does_not_delay_others_of_its_statement(
    make: Make, smtp_server: SmtpServer
) -> None:
    poison, *others = many(4)
    process = make()
    with ThreadPoolExecutor(4) as threads, refusing("raise_exception", f"new.notification_id = {poison}"):
        lists = [threads.submit(process.deliver, [id]) for id in (poison, *others)]
        for one in lists[1:]:
            one.result(60)
        assert [status(id) for id in others] == ["sent"] * 3
        assert process.unrecorded() == workers.Unrecorded((poison,), "refused by a test")
        eventually(_obeying_again)
        lists[0].result(60)
    assert status(poison) == "sent"
    assert copies(smtp_server) == {1}


def test_text_that_the_database_refuses_is_left_out_and_the_outcome_is_recorded(
    make: Make, smtp_server: SmtpServer
) -> None:
    smtp_server.on("dot", Reply(250, "2.0.0 für immer"), times=1)
    ids = many(3)
    with refusing("check_violation", "new.text ~ 'für'"):
        make().deliver(ids)
    assert [history(id) for id in ids] == [["sent"]] * 3
    assert rows("SELECT text FROM attempts WHERE notification_id = %s", ids[0]) == [("250 2.0.0 f?r immer",)]
    assert copies(smtp_server) == {1}


def test_an_outcome_whose_reply_the_database_refuses_is_recorded_without_the_reply(
    make: Make, smtp_server: SmtpServer
) -> None:
    ids = many(2)
    with refusing("check_violation", f"new.notification_id = {ids[0]} AND new.reply_code IS NOT NULL"):
        make().deliver(ids)
    assert [history(id) for id in ids] == [["sent"]] * 2
    assert copies(smtp_server) == {1}


@pytest.mark.parametrize("text", ["\udcff", "a\x00b", "ł\ud800"])
def test_a_text_that_cannot_be_sent_to_the_database_is_recorded_reduced(make: Make, text: str) -> None:
    [id] = many(1)
    process = make()
    [claimed] = process.claim([id])
    now = time.monotonic()
    told = Attempt("sent", uuid4(), "mail:25", now, now, "content", 250, None, text)
    assert process.settle(lifecycle.sent(claimed, told)).result(60) is True
    assert status(id) == "sent"


def test_a_row_locked_by_another_session_delays_only_its_own_outcome(make: Make, bound: Settings) -> None:
    held, *others = many(3)
    process = make(db_statement_timeout=1)
    [mine, *_] = process.claim([held])
    with closing(psycopg2.connect(bound.database.url)) as other, other.cursor() as cursor:
        cursor.execute("SELECT FROM notifications WHERE id = %s FOR UPDATE", (held,))
        now = time.monotonic()
        with mock.patch.object(lifecycle, "settle", hurried(lifecycle.settle)):
            late = process.settle(lifecycle.sent(mine, Attempt("sent", uuid4(), "mail:25", now, now)))
            process.deliver(others)
            assert [status(id) for id in others] == ["sent"] * 2
            other.rollback()
            assert late.result(60) is True


def hurried(settle: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap `settle` so that it runs with a short statement_timeout."""

    def settled(*of: Any) -> Any:
        rows("SET statement_timeout = '500ms'")
        return settle(*of)

    return settled


def test_a_locked_table_delays_outcomes_and_loses_none(make: Make, bound: Settings, smtp_server: SmtpServer) -> None:
    ids = many(4)
    process = make()
    with (
        closing(psycopg2.connect(bound.database.url)) as dba,
        dba.cursor() as cursor,
        mock.patch.object(lifecycle, "settle", hurried(lifecycle.settle)),
        delivered(process, ids),
    ):
        eventually(lambda: status(ids[0]) != "pending")
        cursor.execute("LOCK TABLE attempts IN ACCESS EXCLUSIVE MODE")
        eventually(lambda: process.unrecorded().ids or len(smtp_server.mails) == 4)
        dba.rollback()
    assert [status(id) for id in ids] == ["sent"] * 4
    assert copies(smtp_server) == {1}


def test_a_stopping_worker_waits_for_shutdown_grace_and_gives_up(make: Make, smtp_server: SmtpServer) -> None:
    ids = many(2)
    process = make(shutdown_grace=1)
    with ThreadPoolExecutor(1) as thread, refusing("insufficient_privilege"):
        ending = thread.submit(process.deliver, ids)
        eventually(lambda: len(process.unrecorded().ids) == 2)
        process.claims.stop()
        with pytest.raises(Exception, match="before the worker had to stop"):
            ending.result(60)


def test_a_notification_with_hold_is_not_sent_before_its_doubt_is_recorded(make: Make, smtp_server: SmtpServer) -> None:
    id = lifecycle.accept([draft("a@example.com")._replace(on_uncertain="hold")], GRACE)[0].id
    process = make()
    with delivered(process, [id]):
        with refusing("insufficient_privilege", "new.in_doubt_since IS NOT NULL", "notifications"):
            eventually(process.claims._undoubted.items)
            assert smtp_server.mails == []
        eventually(lambda: status(id) == "sent")
    assert copies(smtp_server) == {1}


@pytest.mark.parametrize("condition", ["insufficient_privilege", "undefined_table", "syntax_error", "check_violation"])
def test_notifications_stay_pending_while_claims_are_refused(
    make: Make, smtp_server: SmtpServer, condition: str
) -> None:
    ids = many(3)
    process = make()
    with refusing(condition, "new.status = 'processing'", "notifications"), pytest.raises(Retry, match="claim: "):
        process.deliver(ids)
    assert smtp_server.mails == []
    assert {status(id) for id in ids} == {"pending"}
    process.deliver(ids)
    assert copies(smtp_server) == {1}


def test_claimed_notifications_are_released_after_the_rest_of_their_claim_failed(
    make: Make, smtp_server: SmtpServer
) -> None:
    ids = many(2)
    process = make()
    with mock.patch.object(lifecycle, "suppress", side_effect=ZeroDivisionError), pytest.raises(Retry):
        process.deliver([*ids, 999_999])
    assert {status(id) for id in ids} == {"processing"}
    with suppress(Again):
        process.deliver(many(1))  # The next claim finds what nobody heard of.
    assert {status(id) for id in ids} == {"pending"}


def test_an_internal_error_after_the_server_took_the_mail_is_an_unknown_outcome(
    make: Make, smtp_server: SmtpServer
) -> None:
    real = SmtpSender.send

    async def send(self: SmtpSender, *of: Any) -> Receipt:
        await real(self, *of)
        raise ZeroDivisionError

    [id] = accept("a@example.com")
    held = lifecycle.accept([draft("b@example.com")._replace(on_uncertain="hold")], GRACE)[0].id
    with mock.patch.object(SmtpSender, "send", send), pytest.raises(Again):
        make().deliver([id, held])
    assert (history(id), history(held)) == (["uncertain"], ["uncertain"])
    assert row(held)["failure_reason"] == "outcome-unknown"


@pytest.mark.parametrize(
    ("where", "what"), [(breaker, "trip"), (delivering, "report"), (hard_bounce, "is_hard_bounce"), (breaker, "close")]
)
def test_an_internal_error_after_the_answer_loses_no_outcome(
    make: Make, smtp_server: SmtpServer, where: Any, what: str
) -> None:
    smtp_server.on("rcpt", Reply(421, "4.3.0 not this one"), to="1@example.com", times=None)
    smtp_server.on("rcpt", Reply(550, "5.1.1 nobody"), to="2@example.com")
    ids = many(5)
    with mock.patch.object(where, what, side_effect=ZeroDivisionError), pytest.raises(Again):
        make(breaker_threshold=1).deliver(ids)
    assert [history(id) for id in ids] == [["sent"], ["provider-down"], ["refused"], ["sent"], ["sent"]]
    assert copies(smtp_server) == {1}


def test_a_sender_that_fails_leaves_its_unbegun_mails_to_another(make: Make, smtp_server: SmtpServer) -> None:
    ids, failures = many(5), [ZeroDivisionError()] * 2
    process = make(connections=1)
    real = process.delivery.settled

    async def settled(*of: Any) -> None:
        if failures:
            raise failures.pop()
        await real(*of)

    with mock.patch.object(process.delivery, "settled", settled):
        process.deliver(ids)
    assert failures == []
    assert [history(id) for id in ids] == [["sent"]] * 5
    assert copies(smtp_server) == {1}


def test_an_outcome_that_a_live_worker_keeps_is_not_rescued_however_long_it_takes(store: Settings) -> None:
    observer, holder = alive(uuid4(), steady_for=100), alive(uuid4(), steady_for=100)
    [kept, hung] = accepted(2)
    lifecycle.claim([kept, hung], holder)
    for id in (kept, hung):
        passed(1_000, id)
    tell(holder, unrecorded=workers.Unrecorded((kept,), "permission denied for table attempts"))
    assert lifecycle.rescue(observer, 30, 600, 5, 100) == [hung]
    tell(holder)
    assert lifecycle.rescue(observer, 30, 600, 5, 100) == [kept]


def test_after_an_outage_a_worker_may_first_report_its_unrecorded_outcomes(store: Settings) -> None:
    observer, holder = alive(uuid4(), steady_for=10), alive(uuid4(), steady_for=100, seen_ago=15)
    [id] = accepted()
    lifecycle.claim([id], holder)
    passed(1_000, id)
    tell_timeouts(holder, timeout=30, stuck_after=600)
    assert lifecycle.rescue(observer, 3, 600, 5, 100) == []


def tell(worker: Any, **more: Any) -> None:
    workers.seen(workers.Heartbeat(worker, "host", 1, 8, **more), 30)


def tell_timeouts(worker: Any, *, timeout: float, stuck_after: float) -> None:
    rows("UPDATE workers SET timeout = %s, stuck_after = %s WHERE id = %s", timeout, stuck_after, str(worker))


@pytest.mark.parametrize(
    ("seen_ago", "steady_for", "rescued"), [(10, 1_000, False), (29, 1_000, False), (31, 1_000, True), (31, 20, False)]
)
def test_a_worker_is_judged_by_its_own_timeout(
    store: Settings, seen_ago: float, steady_for: float, rescued: bool
) -> None:
    observer, holder = alive(uuid4(), steady_for=steady_for), alive(uuid4(), seen_ago=seen_ago)
    tell_timeouts(holder, timeout=30, stuck_after=600)
    [id] = accepted()
    lifecycle.claim([id], holder)
    assert lifecycle.rescue(observer, 3, 600, 5, 100) == ([id] if rescued else [])


def test_a_hanging_worker_is_judged_by_its_own_stuck_after(store: Settings) -> None:
    observer, holder = alive(uuid4(), steady_for=100), alive(uuid4(), steady_for=100)
    tell_timeouts(holder, timeout=30, stuck_after=600)
    [id] = accepted()
    lifecycle.claim([id], holder)
    passed(500, id)
    assert lifecycle.rescue(observer, 30, 60, 5, 100) == []
    passed(101, id)
    assert lifecycle.rescue(observer, 30, 60, 5, 100) == [id]


def test_a_worker_is_not_forgotten_before_its_own_timeout(store: Settings) -> None:
    patient = alive(uuid4(), seen_ago=100)
    tell_timeouts(patient, timeout=600, stuck_after=600)
    workers.forget(60)
    assert rows("SELECT id::text FROM workers") == [(str(patient),)]


def test_a_prober_is_judged_by_its_own_timeout(store: Settings) -> None:
    prober, observer = alive(uuid4(), seen_ago=10), alive(uuid4(), steady_for=100)
    tell_timeouts(prober, timeout=30, stuck_after=600)
    breaker.trip("mail:25", "connect: refused", 0)
    assert breaker.take_probe("mail:25", prober, 300, 3)
    assert not breaker.take_probe("mail:25", observer, 300, 3)
    rows("UPDATE workers SET seen_at = now() - interval '31 seconds' WHERE id = %s", str(prober))
    assert breaker.take_probe("mail:25", observer, 300, 3)


def test_the_reductions_of_a_settlement_keep_its_outcome() -> None:
    now = time.monotonic()
    given = lifecycle.bounced(
        Claimed(1, 2, "email", "a@example.com", "", "", None, "resend", 0, mock.Mock()),
        Attempt("refused", uuid4(), "mail:25", now, now, "rcpt", 550, "5.1.1", "für\n\udc80"),
    )
    plain, bare = reductions(given)
    assert plain.attempt.text == "f?r??"
    assert (bare.id, bare.claim, bare.status, bare.reason, bare.suppress) == (1, 2, "failed", "rejected", None)
    assert (bare.attempt.outcome, bare.attempt.phase, bare.attempt.reply_code) == ("refused", None, None)
