"""The suppression list at accept, claim and settle: suppressed addresses get nothing, and hard bounces are added."""

from __future__ import annotations

import json
import logging
import time
from functools import partial
from typing import Any, cast
from uuid import uuid4

import pytest

from actors.claim_store import ClaimStore
from actors.wanted import Wanted
from api.resources.representation import summary
from db import idempotency, lifecycle, prepared, reports, suppressions
from db.database import database, rows
from db.idempotency import Post, Stored
from db.suppressions import Entry
from settings import Settings
from tests import loops
from tests.integration.racing import at_once
from tests.integration.rows import (
    CLIENT,
    GRACE,
    WORKER,
    accepted,
    attempt,
    claimed,
    draft,
    history,
    in_seconds,
    row,
    status,
    suppressed,
)

pytestmark = pytest.mark.usefixtures("store")

ROUNDS = 25


def listed() -> list[dict[str, Any]]:
    return suppressions.newest(1, {}, None, 100)


def over(address: str) -> None:
    """Let the entry of this address expire."""
    rows("UPDATE suppressions SET expires_at = now() - interval '1 second' WHERE address = %s", address)


def test_accept_fails_exactly_the_notifications_to_suppressed_recipients() -> None:
    with suppressed("b@example.com"):
        drafts = [draft("a@example.com"), draft("b@example.com"), draft("c@example.com")]
        answers = lifecycle.accept(drafts, GRACE)

    assert [a.failure_reason for a in answers] == [None, "suppressed", None]
    assert [status(a.id) for a in answers] == ["pending", "failed", "pending"]
    failed = row(answers[1].id)
    assert failed["recipient"] == "b@example.com"
    assert failed["last_error"] == answers[1].last_error == "b@example.com is on the suppression list: manual"
    assert failed["finished_at"] == failed["created_at"]
    assert failed["attempt_count"] == 0


def test_accept_compares_the_normalised_mailbox() -> None:
    with suppressed("a@example.com"):
        [answer] = lifecycle.accept([draft("A@Example.com")._replace(mailboxes='["a@example.com"]')], GRACE)

    assert answer.failure_reason == "suppressed"


@pytest.mark.parametrize("one", ["a@example.com", "b@example.com", "c@example.com"])
def test_a_suppressed_address_among_several_fails_the_whole_mail_and_is_named(one: str) -> None:
    several = draft()._replace(mailboxes='["a@example.com", "b@example.com", "c@example.com"]')
    [pending] = lifecycle.accept([several], GRACE)
    with suppressed(one):
        [answer] = lifecycle.accept([several], GRACE)
        assert answer.last_error == f"{one} is on the suppression list: manual"
        assert lifecycle.claim([pending.id], WORKER) == []
        assert lifecycle.suppress([pending.id]) == [pending.id]
    assert row(pending.id)["last_error"] == answer.last_error


def test_unsubscribing_and_bouncing_concern_the_recipient_and_not_the_copies() -> None:
    several = draft("A@x.com")._replace(mailboxes='["a@x.com", "b@x.com"]')
    [one] = lifecycle.accept([several], GRACE)
    assert suppressions.unsubscribe(one.id)
    assert [entry["address"] for entry in listed()] == ["a@x.com"]


def test_a_scheduled_notification_to_a_suppressed_recipient_fails_at_once() -> None:
    with suppressed():
        [answer] = lifecycle.accept([draft()._replace(send_at=in_seconds(3600))], GRACE)
    found = row(answer.id)
    assert (found["status"], found["next_attempt_at"], found["finished_at"]) == ("failed", None, found["created_at"])


def test_accept_and_claim_do_not_look_at_the_list_of_another_client() -> None:
    with suppressed("a@example.com", client_id=2):
        [id] = accepted()
        assert [c.id for c in lifecycle.claim([id], WORKER)] == [id]


def test_an_expired_entry_does_not_suppress() -> None:
    with suppressed():
        over("a@example.com")
        [id] = accepted()
        assert lifecycle.suppress([id]) == []
        assert [c.id for c in lifecycle.claim([id], WORKER)] == [id]


@pytest.mark.parametrize("once", [False, True])
def test_a_suppressed_notification_enqueues_the_callback_for_failures(once: bool) -> None:
    rows(
        "INSERT INTO callbacks (client_id, url, description, events, secret)"
        " VALUES (1, '', '', ARRAY['failed'], '') RETURNING id"
    )
    drafts = [draft("b@example.com"), draft()._replace(template="welcome", template_version=3)]
    with suppressed():
        if once:
            outcomes = idempotency.accept_once([Post(d) for d in drafts], GRACE, 1)
            ids = [o.accepted.id for o in outcomes if isinstance(o, Stored)]
        else:
            ids = [a.id for a in lifecycle.accept(drafts, GRACE)]

    [(told, message)] = rows("SELECT subject_id, message FROM notifications WHERE type = 'callback'")
    [_, failed] = ids
    data = json.loads(message)["data"]
    assert told == data["id"] == failed
    assert (data["failureReason"], data["template"]) == ("suppressed", {"name": "welcome", "version": 3})
    [shown] = [found for found in reports.newest(1, {}, None, 9).rows if found["id"] == failed]
    # What is told ends just then, so that none of it is erased.
    assert data.keys() == summary(shown).keys() - {"erasedAt"} | {"deliveryEvidence"}


# suppress


def test_suppress_fails_pending_notifications_whose_recipient_was_suppressed_later() -> None:
    [id] = accepted()
    with suppressed():
        assert lifecycle.claim([id], WORKER) == []
        assert lifecycle.suppress([id]) == [id]

    found = row(id)
    assert (found["status"], found["failure_reason"]) == ("failed", "suppressed")
    assert found["last_error"] == "a@example.com is on the suppression list: manual"
    assert history(id) == []
    assert lifecycle.claim([id], WORKER) == []


def test_suppress_leaves_rows_that_are_not_pending_due_and_suppressed() -> None:
    [free] = accepted()
    assert lifecycle.suppress([free]) == []

    held = claimed()
    [later] = accepted()
    rows("UPDATE notifications SET next_attempt_at = now() + interval '1 hour' WHERE id = %s", later)
    with suppressed():
        assert lifecycle.suppress([held.id, later]) == []

    assert [status(id) for id in (free, held.id, later)] == ["pending", "processing", "pending"]


def test_a_redriven_notification_fails_again_until_its_recipient_is_taken_off_the_list() -> None:
    [id] = accepted()
    with suppressed():
        lifecycle.suppress([id])
        lifecycle.redrive(id, CLIENT, GRACE)
        assert lifecycle.suppress([id]) == [id]
    lifecycle.redrive(id, CLIENT, GRACE)

    assert [c.id for c in lifecycle.claim([id], WORKER)] == [id]


def test_the_worker_that_is_refused_a_suppressed_row_fails_it(store: Settings) -> None:
    first, second = accepted(2)
    rows("UPDATE notifications SET recipient = 'b@example.com' WHERE id = %s", second)
    claims = ClaimStore(store, uuid4(), ["email"])
    try:
        with suppressed("b@example.com"):
            assert [c.id for c in loops.run(claims.claim(Wanted([first, second])))] == [first]
    finally:
        claims.close()

    assert row(second)["failure_reason"] == "suppressed"


def race(id: int) -> tuple[list[Any], list[int]]:
    """Return what a claim and a refused worker moved while the recipient was put on the list."""
    claims: list[Any] = []
    fails: list[int] = []
    at_once(
        [
            lambda: claims.extend(lifecycle.claim([id], uuid4())),
            lambda: fails.extend(lifecycle.suppress([id])),
            lambda: suppressions.add(1, Entry("a@example.com")),
        ]
    )
    return claims, fails


def test_a_simultaneous_claim_and_suppression_have_exactly_one_winner() -> None:
    for _ in range(ROUNDS):
        [id] = accepted()
        taken, failed = race(id)

        assert not (taken and failed)
        # What neither has moved is moved by whoever gets its wake-up message next.
        assert taken or failed or lifecycle.suppress([id]) == [id]
        assert status(id) == ("processing" if taken else "failed")
        rows("DELETE FROM suppressions")


def test_a_notification_accepted_during_its_suppression_fails_at_once_or_at_its_claim() -> None:
    for _ in range(ROUNDS):
        at_once([accepted, lambda: suppressions.add(1, Entry("a@example.com"))])
        [(id,)] = rows("SELECT max(id) FROM notifications")

        assert status(id) == "failed" or (lifecycle.claim([id], WORKER) == [] and lifecycle.suppress([id]) == [id])
        rows("DELETE FROM suppressions")


# bounced


def settled(*settlements: Any) -> set[tuple[int, int]]:
    return lifecycle.settle(settlements, GRACE, time.monotonic())


def test_bounced_fails_and_puts_the_recipient_on_the_list_in_one_statement() -> None:
    one = claimed()

    assert settled(lifecycle.bounced(one, attempt("refused", "550 5.1.1 no such user"))) == {(one.id, one.claim)}

    assert (row(one.id)["status"], row(one.id)["failure_reason"]) == ("failed", "rejected")
    [entry] = listed()
    assert (entry["address"], entry["reason"], entry["expires_at"]) == ("a@example.com", "bounced", None)
    assert entry["source"] == f"notification {one.id}: 550 5.1.1 no such user"
    assert lifecycle.accept([draft()], GRACE)[0].failure_reason == "suppressed"


def test_a_bounce_of_a_row_that_is_not_processing_suppresses_no_address() -> None:
    one = claimed()
    settled(lifecycle.sent(one, attempt()))

    assert settled(lifecycle.bounced(one, attempt("refused"))) == set()
    assert listed() == []


def test_bounced_by_a_stale_owner_suppresses_nobody() -> None:
    one = claimed()
    lifecycle.release([(one.id, one.claim)])
    lifecycle.claim([one.id], uuid4())

    assert settled(lifecycle.bounced(one, attempt("refused"))) == set()
    assert listed() == []


def test_a_failure_other_than_a_bounce_suppresses_no_address() -> None:
    settled(lifecycle.failed(claimed(), attempt("refused"), "rejected"))

    assert listed() == []


def test_many_bounces_of_one_address_are_one_entry() -> None:
    ones = [claimed() for _ in range(5)]

    assert len(settled(*(lifecycle.bounced(one, attempt("refused")) for one in ones))) == 5
    assert len(listed()) == 1


def test_a_bounce_keeps_a_valid_entry_and_renews_an_expired_one() -> None:
    first, second = claimed(), claimed()
    suppressions.add(1, Entry("a@example.com", "unsubscribed"))
    settled(lifecycle.bounced(first, attempt("refused")))
    assert [entry["reason"] for entry in listed()] == ["unsubscribed"]

    over("a@example.com")
    settled(lifecycle.bounced(second, attempt("refused")))
    assert [(entry["reason"], entry["expires_at"]) for entry in listed()] == [("bounced", None)]


def test_a_bounce_is_listed_by_its_mailbox_and_its_client() -> None:
    one = claimed()
    mailboxes = '["a@x.com", "b@x.com"]'
    rows(
        "UPDATE notifications SET client_id = 7, recipient = 'A@X.com', mailboxes = %s WHERE id = %s", mailboxes, one.id
    )
    settled(lifecycle.bounced(one, attempt("refused")))

    assert listed() == []
    assert [entry["address"] for entry in suppressions.newest(7, {}, None, 100)] == ["a@x.com"]


def test_bounces_of_the_same_addresses_in_any_order_do_not_wait_for_each_other() -> None:
    for _ in range(ROUNDS):
        ids = [a.id for a in lifecycle.accept([draft(f"{n}@example.com") for n in range(20)] * 2, GRACE)]
        ones = lifecycle.claim(ids, WORKER)
        mine, others = ones[:20], list(reversed(ones[20:]))
        results = at_once(
            [partial(settled, *(lifecycle.bounced(one, attempt("refused")) for one in half)) for half in (mine, others)]
        )
        assert [len(result) for result in results] == [20, 20]
        assert len(listed()) == 20
        rows("DELETE FROM suppressions")


# unsubscribe


def test_unsubscribing_stops_pending_and_later_notifications() -> None:
    sent, pending = claimed(), accepted()
    assert suppressions.unsubscribe(sent.id)

    assert [entry["reason"] for entry in listed()] == ["unsubscribed"]
    assert lifecycle.suppress(pending) == pending
    assert not suppressions.unsubscribe(sent.id + 1000)


def test_unsubscribing_twice_changes_nothing_and_removes_an_expiry() -> None:
    [id] = accepted()
    suppressions.add(1, Entry("a@example.com", "bounced"))
    assert suppressions.unsubscribe(id)
    assert [entry["reason"] for entry in listed()] == ["bounced"]

    over("a@example.com")
    assert suppressions.unsubscribe(id)
    assert [(entry["reason"], entry["expires_at"]) for entry in listed()] == [("unsubscribed", None)]


def test_an_address_is_looked_up_in_an_index_however_long_the_list_is(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepared._Plans, "works", False)  # To see the statement itself.
    rows(
        "INSERT INTO suppressions (client_id, address, reason)"
        " SELECT 1, n || '@example.com', 'manual' FROM generate_series(1, 20000) AS n"
    )
    rows("ANALYZE suppressions")
    with caplog.at_level(logging.DEBUG, logger="peewee"):
        [id] = accepted()
        lifecycle.claim([id], WORKER)
        lifecycle.suppress([id])
    said = [cast(tuple[str, list[Any]], record.msg) for record in caplog.records]

    wanted = [(sql, parameters) for sql, parameters in said if "AS listed" in sql]
    assert len(wanted) == 3
    for sql, parameters in wanted:
        # Without SAFELY too: in a transaction, nothing else is said.
        plan = "\n".join(line for (line,) in rows(f"EXPLAIN {sql.removeprefix(prepared.SAFELY)}", *parameters))
        assert "Scan using suppressions_pkey" in plan, plan
        assert "Seq Scan on suppressions" not in plan, plan


def test_a_plan_made_for_an_empty_list_uses_the_index_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(2):
        accepted()
    rows(
        "INSERT INTO suppressions (client_id, address, reason)"
        " SELECT 1, n || '@example.com', 'manual' FROM generate_series(1, 20000) AS n"
    )
    with caplog.at_level(logging.DEBUG, logger="peewee"):
        accepted()
    sql, parameters = [cast(tuple[str, list[Any]], r.msg) for r in caplog.records if "EXECUTE" in r.msg[0]][-1]

    with database.atomic():
        rows(prepared.SAFELY)
        found = rows(f"EXPLAIN {sql.removeprefix(prepared.SAFELY)}", *parameters)
    plan = "\n".join(line for (line,) in found)
    assert "Scan using suppressions_pkey" in plan, plan
    assert "Seq Scan on suppressions" not in plan, plan
