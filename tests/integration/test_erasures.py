"""Erasure of an address: the content is removed and the counts are kept."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial

import pytest

from api.resources.representation import notification
from db import audit, erasing, erasures, idempotency, lifecycle, reports, suppressions, timeline
from db.audit import By
from db.batches import Batch, accept_batch, find_batch
from db.database import rows
from db.erasing import Of
from db.idempotency import Key, Post, Refusal, Stored
from db.records import Claimed, Draft, Settlement
from db.suppressions import Entry
from tests.integration.everywhere import holding
from tests.integration.racing import at_once
from tests.integration.rows import CLIENT, GRACE, WORKER, attempt, draft, failed, history, in_seconds, row, status

pytestmark = pytest.mark.usefixtures("store")

ANN = "ann@example.com"
SAID = f"550 5.1.1 <{ANN}> no such user"
SOMEBODY = By("cli", name="somebody")


def begun(address: str = ANN) -> int:
    return erasures.begin(CLIENT, address, SOMEBODY)


def worked(id: int, most: int = 100) -> str:
    """Work at it until nothing can be done for now; what it is then."""
    while erasures.step(id, most, SOMEBODY):
        pass
    found = erasures.one(CLIENT, id)
    assert found is not None
    return "done" if found["done_at"] else "erasing" if found["stopped_at"] else "stopping"


def sent_to(address: str = ANN, **values: object) -> Draft:
    """A mail with everything that can name somebody."""
    mail = {
        "recipientName": f"Ann {ANN}",
        "replyTo": ANN,
        "headers": {"X-For": ANN},
        "attachments": [{"filename": f"{ANN}.txt", "contentType": "text/plain", "contentId": None, "size": 3}],
    }
    full = draft(address)._replace(
        subject=f"Hello {ANN}",
        message=f"Dear {ANN}",
        html=f"<p>{ANN}",
        mail=json.dumps(mail),
        metadata=json.dumps({"user": ANN}),
        tags=json.dumps(["welcome", f"to-{ANN}"]),
        contents=(ANN.encode(),),
        mailboxes=json.dumps([ANN]) if address != ANN else None,
    )
    return full._replace(**values)  # type: ignore[arg-type]


def stored(wanted: Draft, key: str | None = None) -> int:
    [outcome] = idempotency.accept_once([Post(wanted, Key(key, b"d") if key else None)], GRACE, 1)
    assert isinstance(outcome, Stored)
    return outcome.accepted.id


def claimed(id: int) -> Claimed:
    [one] = lifecycle.claim([id], WORKER)
    return one


def settled(one: Claimed, how: str = "sent", text: str = SAID) -> bool:
    outcomes: dict[str, Callable[[], Settlement]] = {
        "sent": lambda: lifecycle.sent(one, attempt(text=text)),
        "retry": lambda: lifecycle.retry(one, attempt("deferred", text), 0),
        "bounced": lambda: lifecycle.bounced(one, attempt("refused", text)),
        "failed": lambda: lifecycle.failed(one, attempt("refused", text), "rejected"),
    }
    return bool(lifecycle.settle([outcomes[how]()], GRACE, time.monotonic()))


def listening() -> None:
    rows(
        "INSERT INTO callbacks (client_id, url, description, events, secret)"
        " VALUES (1, 'https://example.org', '', ARRAY['sent', 'failed', 'cancelled'], 's')"
    )


def callbacks() -> list[int]:
    return [id for (id,) in rows("SELECT id FROM notifications WHERE type = 'callback' ORDER BY id")]


def test_an_erasure_removes_the_person_from_every_table_and_keeps_the_counts() -> None:
    listening()
    waiting = stored(sent_to(send_at=in_seconds(3_600)), "k")
    ended = stored(sent_to())
    settled(claimed(ended), "retry")
    settled(claimed(ended), "bounced")
    written_otherwise = stored(sent_to("Ann@Example.com"))
    listed = stored(sent_to())  # It has bounced: it is not sent to again.
    copied = stored(
        draft("b@example.com")._replace(
            mail=json.dumps({"cc": [f"Ann <{ANN}>"]}), mailboxes=json.dumps(["b@example.com", ANN])
        )
    )
    rows("INSERT INTO providers (name, reason) VALUES ('mail', %s)", f"421 too many for {ANN}")
    assert len(holding(ANN)) > 10

    assert worked(begun(), most=1) == "done"
    assert holding(ANN) == set()
    assert [status(id) for id in (ended, written_otherwise, waiting, listed, copied)] == [
        *("failed", "failed", "cancelled", "failed"),
        "failed",
    ]
    assert history(ended) == ["deferred", "refused"]
    assert (row(ended)["attempt_count"], row(ended)["retry_count"], row(ended)["tags"]) == (2, 1, ["welcome"])


@pytest.mark.parametrize("address", ["ANN@Example.com", "ann@example.com"])
def test_an_erasure_matches_every_spelling_and_leaves_other_addresses_and_clients(address: str) -> None:
    [mine] = [stored(sent_to(address))]
    others = [stored(draft("b@example.com")), stored(draft(ANN)._replace(client_id=2)), stored(draft(f"x{ANN}"))]
    assert worked(begun()) == "done"
    assert row(mine)["erased_at"] is not None
    assert [row(id)["recipient"] for id in others] == ["b@example.com", ANN, f"x{ANN}"]


def test_notifications_accepted_after_the_request_stay() -> None:
    id = begun()
    later = stored(draft(ANN))
    assert worked(id) == "done"
    assert (row(later)["recipient"], status(later)) == (ANN, "pending")


def test_an_erased_notification_is_shown_with_its_status_times_and_counts() -> None:
    id = stored(sent_to())
    settled(claimed(id))
    before = reports.notification(id, CLIENT)
    worked(begun())
    after = reports.notification(id, CLIENT)
    assert before is not None
    assert after is not None
    kept = ("id", "type", "status", "attempt_count", "retry_count", "created_at", "finished_at", "priority", "sandbox")
    assert [after[name] for name in kept] == [before[name] for name in kept]
    shown = notification(after)
    assert (shown["recipient"], shown["subject"], shown["message"]) == ("", "", "")
    assert (shown["html"], shown["recipientName"], shown["replyTo"], shown["lastError"]) == (None,) * 4
    assert (shown["metadata"], shown["headers"], shown["attachments"], shown["tags"]) == ({}, {}, [], ["welcome"])
    assert shown["erasedAt"] >= shown["finishedAt"]
    told = timeline.events(id, CLIENT)
    assert told is not None
    assert sorted(event["event"] for event in told) == ["accepted", "attempted", "sent"]
    assert ANN not in str(told)


def test_pending_notifications_are_cancelled_before_the_first_content_is_erased() -> None:
    ids = [stored(draft(ANN)) for _ in range(3)]
    id = begun()
    for _ in range(4):
        erasures.step(id, 1, SOMEBODY)
    found = erasures.one(CLIENT, id)
    assert found is not None
    assert (found["stopped_at"] is not None, found["cancelled"], found["erased"], found["left"]) == (True, 3, 0, 3)
    assert lifecycle.claim(ids, WORKER) == []
    assert [event["event"] for event in timeline.events(ids[0], CLIENT) or ()] == ["accepted", "cancelled"]


@pytest.mark.parametrize("how", ["sent", "failed", "bounced", "retry"])
def test_a_notification_being_sent_is_erased_after_it_ended_and_never_begun_again(how: str) -> None:
    listening()
    one = claimed(stored(sent_to()))
    id = begun()
    assert worked(id) == "erasing"
    assert (status(one.id), row(one.id)["message"]) == ("processing", f"Dear {ANN}")  # Its worker needs it.
    assert settled(one, how)
    assert lifecycle.claim([one.id], WORKER) == []
    assert worked(id) == "done"
    assert holding(ANN) == set()
    assert status(one.id) == {"sent": "sent", "retry": "cancelled"}.get(how, "failed")


def test_an_erased_notification_of_a_dead_worker_is_not_sent_again() -> None:
    one = claimed(stored(sent_to()))
    id = begun()
    worked(id)
    assert lifecycle.release([(one.id, one.claim)]) == [one.id]
    assert lifecycle.claim([one.id], WORKER) == []
    assert worked(id) == "done"
    assert not settled(one)
    assert holding(ANN) == set()


def test_a_callback_that_is_being_delivered_is_erased_and_so_is_what_its_server_answers() -> None:
    listening()
    settled(claimed(stored(sent_to())))
    [callback] = callbacks()
    held = claimed(callback)
    assert ANN in held.message
    id = begun()
    assert worked(id) == "erasing"
    assert settled(held, "retry", f"500 cannot tell {ANN}")
    assert worked(id) == "done"
    assert holding(ANN) == set()
    [again] = lifecycle.claim([callback], WORKER)
    data = json.loads(again.message)["data"]
    assert (data["recipient"], data["subject"], data["metadata"], data["tags"]) == ("", "", {}, ["welcome"])
    assert data["status"] == "sent"


def test_an_erased_copy_is_removed_and_the_mail_still_reaches_its_recipient() -> None:
    mail = {"cc": ["Cy <cy@example.com>", f"Ann <{ANN}>"], "bcc": ["dan@example.com"]}
    boxes = ["b@example.com", "cy@example.com", ANN, "dan@example.com"]
    waiting = stored(draft("b@example.com")._replace(mail=json.dumps(mail), mailboxes=json.dumps(boxes)))
    held = claimed(stored(draft("b@example.com")._replace(mail=json.dumps(mail), mailboxes=json.dumps(boxes))))
    id = begun()
    assert worked(id) == "erasing"
    [one] = lifecycle.claim([waiting], WORKER)
    assert one.mail == {"cc": ["Cy <cy@example.com>"], "bcc": ["dan@example.com"]}
    assert row(waiting)["mailboxes"] == ["b@example.com", "cy@example.com", "dan@example.com"]
    listening()
    settled(held, "failed")
    assert worked(id) == "done"
    assert holding(ANN) == set()
    assert row(waiting)["message"] == "Hello"


@pytest.mark.parametrize("address", [ANN, "Ann@Example.com"])
def test_erasure_keeps_a_suppression_under_a_digest(address: str) -> None:
    suppressions.add(CLIENT, Entry(ANN, "unsubscribed", f"asked by {ANN}"))
    waiting = stored(draft("b@example.com"))
    worked(begun())
    assert holding(ANN) == set()
    [(key, source)] = rows("SELECT address, source FROM suppressions")
    assert (key.startswith("sha256:"), source) == (True, None)
    refused = stored(draft(address)._replace(mailboxes=None if address == ANN else json.dumps([ANN])))
    assert (status(refused), row(refused)["last_error"]) == (
        "failed",
        "a recipient is on the suppression list: unsubscribed",
    )
    assert status(stored(draft("b@example.com"))) == status(waiting) == "pending"
    assert status(stored(draft(ANN)._replace(client_id=2))) == "pending"
    found = suppressions.find(CLIENT, ANN)
    assert found is not None
    assert (found["address"], found["reason"]) == (key, "unsubscribed")
    worked(begun())  # And again, when it is a digest already.
    assert suppressions.remove(CLIENT, ANN)
    assert status(stored(draft(ANN))) == "pending"


def test_erasure_of_a_phone_number_hides_what_is_suppressed_for_single_senders() -> None:
    number, other = "+41791234567", "+41791234568 from acme"
    for address in (f"{number} from acme", f"{number} from default", other):
        suppressions.add(CLIENT, Entry(address, "bounced", "opted out"))
    worked(begun(address=number))

    assert holding(number) == set()
    assert sorted(address[:7] for (address,) in rows("SELECT address FROM suppressions")) == [
        *("+417912", "sha256:", "sha256:"),
    ]
    to_acme = draft(number)._replace(mailboxes=json.dumps([number, f"{number} from acme"]))
    assert status(stored(to_acme)) == "failed"
    assert status(stored(to_acme._replace(mailboxes=json.dumps([number, f"{number} from shop"])))) == "pending"


def test_a_new_suppression_of_an_erased_address_replaces_the_digest() -> None:
    suppressions.add(CLIENT, Entry(ANN, expires_at=in_seconds(1_000)))
    worked(begun())
    suppressions.add(CLIENT, Entry(ANN, "bounced"))
    worked(begun())
    assert [(e["reason"], e["expires_at"]) for e in suppressions.newest(CLIENT, {}, None, 9)] == [("bounced", None)]
    assert rows("SELECT counted FROM suppression_counts") == [(1,)]


def test_a_replay_after_an_erasure_neither_shows_nor_sends_the_content() -> None:
    id = stored(sent_to(), "one")
    accept_batch(Batch(CLIENT, [Post(draft(ANN)), Post(draft("b@example.com"))], key=Key("batch", b"d")), GRACE, 1)
    assert worked(begun()) == "done"
    assert idempotency.find(CLIENT, Key("one", b"d")) is Refusal.GONE
    assert idempotency.accept_once([Post(sent_to(), Key("one", b"d"))], GRACE, 1) == [Refusal.GONE]
    assert find_batch(CLIENT, Key("batch", b"d")) is Refusal.GONE
    assert row(id)["recipient"] == ""


def test_replayed_answers_do_not_name_an_erased_suppressed_recipient() -> None:
    suppressions.add(CLIENT, Entry(ANN))
    stored(draft(ANN), "one")
    accept_batch(Batch(CLIENT, [Post(draft(ANN))], partial=True, key=Key("batch", b"d")), GRACE, 1)
    for n in range(5):
        stored(draft("b@example.com"), f"other {n}")
    assert {"idempotency_keys.suppressed", "idempotency_keys.answer"} <= holding(ANN)
    assert worked(begun(), most=2) == "done"
    assert holding(ANN) == set()
    assert isinstance(idempotency.find(CLIENT, Key("other 3", b"d")), Stored)


@pytest.mark.parametrize("send_at", [None, 3_600])
def test_an_erased_notification_cannot_be_retried(send_at: float | None) -> None:
    suppressions.add(CLIENT, Entry(ANN))
    ids = [
        stored(draft(ANN)._replace(send_at=in_seconds(send_at) if send_at else None)),
        failed(recipient="b@example.com"),
    ]
    worked(begun())
    worked(begun("b@example.com"))
    for id in ids:
        assert not lifecycle.redrive(id, CLIENT, GRACE)
    assert lifecycle.redrive_all(CLIENT, {}, None, 10) == []
    with pytest.raises(Exception, match="check"):
        rows(
            "UPDATE notifications SET status = 'pending', failure_reason = NULL, finished_at = NULL,"
            " next_attempt_at = now(), dispatch_after = now() WHERE id = %s",
            ids[0],
        )


def test_the_unsubscribe_link_of_an_erased_mail_suppresses_nobody() -> None:
    id = stored(draft(ANN))
    worked(begun())
    assert not suppressions.unsubscribe(id)
    assert rows("SELECT FROM suppressions") == []


def test_a_second_request_continues_the_erasure_and_includes_newer_notifications() -> None:
    held = claimed(stored(draft(ANN)))
    first = begun()
    assert worked(first) == "erasing"
    new = stored(draft(ANN))
    assert begun() == first
    assert worked(first) == "erasing"
    assert status(new) == "cancelled"
    settled(held)
    assert worked(first) == "done"
    assert begun() != first


def test_many_workers_of_one_erasure_count_each_row_once() -> None:
    for _ in range(3):
        for _ in range(20):
            stored(draft(ANN))
        id = begun()
        at_once([partial(worked, id, 3)] * 4)
        found = erasures.one(CLIENT, id)
        assert found is not None
        assert worked(id) == "done"
        assert (found["cancelled"], found["erased"]) == (20, 20)


def test_an_erasure_is_taken_by_one_worker_at_a_time_and_by_another_after_its_lease() -> None:
    id = begun()
    assert erasures.take() is None  # Whoever has asked is at it.
    rows("UPDATE erasures SET due_at = now()")
    assert erasures.take() == id
    assert erasures.take() is None
    erasures.give_back(id, 0)
    assert erasures.take() == id
    worked(id)
    rows("UPDATE erasures SET due_at = now()")
    assert erasures.take() is None


def test_counting_what_an_erasure_concerns_changes_nothing() -> None:
    stored(draft(ANN))
    failed(recipient=ANN)
    stored(
        draft("b@example.com")._replace(mail=json.dumps({"cc": [ANN]}), mailboxes=json.dumps(["b@example.com", ANN]))
    )
    assert erasing.count(Of(CLIENT, ANN, 2**63 - 1)) == {"failed": 1, "pending": 1, "copies": 1}
    assert ANN in row(1)["recipient"]


def test_an_erasure_leaves_an_audit_record_of_who_asked_and_how_much_was_erased() -> None:
    stored(draft(ANN))
    id = begun()
    worked(id)
    found = erasures.one(CLIENT, id)
    assert found is not None
    assert found["recipient"] == audit.mark(ANN)
    acts = [(r["act"], r["name"], r["detail"].get("erased")) for r in audit.newest(CLIENT, {}, None, 9)]
    assert acts == [("erasure.done", "somebody", 1), ("erasure.requested", "somebody", None)]
    assert erasures.one(2, id) is None


def test_no_step_of_an_erasure_reads_unrelated_rows() -> None:
    """By index alone, in each block."""
    rows(
        "INSERT INTO notifications (type, recipient, subject, message, mailboxes)"
        " SELECT 'email', n || '@example.com', '', '',"
        " CASE WHEN n %% 20 = 0 THEN jsonb_build_array(n || '@example.com') END FROM generate_series(1, 20000) AS n"
    )
    rows("ANALYZE notifications")
    for sql in (erasing._MINE, erasing._COPIES):
        of = Of(CLIENT, ANN, 2**63 - 1)
        values = erasing._mine(of) if sql is erasing._MINE else erasing._copied(of)
        plan = "\n".join(line for (line,) in rows(f"EXPLAIN SELECT id FROM {sql}", *values))
        assert "Seq Scan" not in plan
        assert "notifications_mailboxes" in plan, plan
