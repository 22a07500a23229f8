"""Workers read stored reports, and only genuine ones change anything."""

from __future__ import annotations

import time
from typing import Any

import pytest

from actors.reports import tokens
from actors.reports.event import Event
from actors.reports.keys import ReportKeys
from actors.reports.reader import TRIES, ReportReader
from actors.reports.stored_events import to_json
from db import erasures, incoming_reports, lifecycle
from db.audit import By
from db.database import rows
from db.incoming_reports import Incoming
from db.records import Claimed
from settings import Settings
from settings.reports import ReportSettings
from tests.integration.ends import DAY, aged, removed
from tests.integration.rows import GRACE, WORKER, attempt, draft, row
from tests.reporting import arf, dsn, group

pytestmark = pytest.mark.usefixtures("store")

ADDRESS = "a@example.com"
GONE = group(ADDRESS, said="550 5.1.1 User unknown")


@pytest.fixture
def keys(store: Settings) -> ReportKeys:
    return ReportKeys.load(store.reports)


def sent(**given: Any) -> Claimed:
    """Return a notification that was sent, and whose provider gave it an id if the attempt names one."""
    made = attempt()._replace(**given.pop("made", {}))
    [stored] = lifecycle.accept([draft()._replace(**given)], GRACE)
    [held] = lifecycle.claim([stored.id], WORKER)
    assert lifecycle.settle([lifecycle.sent(held, made)], GRACE, time.monotonic())
    return held


def path(id: int, keys: ReportKeys) -> str:
    return tokens.return_path(tokens.token(id, keys.keys[0]), "bounces.example.com")


def read(keys: ReportKeys, *reports: bytes, **given: Any) -> list[str]:
    """Store reports, let a worker read them, and return the states of all reports."""
    for raw in reports:
        incoming_reports.store(Incoming("api", raw, **given))
    ReportReader(keys).turn()
    return [state for (state,) in rows("SELECT state FROM reports ORDER BY id")]


def delivery(id: int) -> str | None:
    found: str | None = row(id)["delivery_status"]
    return found


def suppressed() -> list[tuple[str, str]]:
    return rows("SELECT address, reason FROM suppressions ORDER BY address")


def test_a_genuine_bounce_changes_exactly_its_recipient(keys: ReportKeys) -> None:
    ours, other = sent(), sent()
    assert read(keys, dsn(GONE, to=path(ours.id, keys))) == ["matched"]
    assert (delivery(ours.id), delivery(other.id)) == ("bounced", None)
    assert suppressed() == [(ADDRESS, "bounced")]


def test_a_secret_is_rotated_with_overlap(keys: ReportKeys) -> None:
    old, new = "o" * 32, "n" * 32
    first = keys.load(ReportSettings(secret=old))
    ours = sent()
    raw = dsn(GONE, to=path(ours.id, first))
    assert read(keys.load(ReportSettings(secret=new)), raw) == ["unmatched"]
    assert read(keys.load(ReportSettings(secret=f"{new}, {old}")), raw) == ["unmatched", "matched"]


def test_the_secret_of_the_installation_is_accepted_after_a_secret_is_set(keys: ReportKeys) -> None:
    ours = sent()
    assert read(keys.load(ReportSettings(secret="n" * 32)), dsn(GONE, to=path(ours.id, keys))) == ["matched"]


def test_a_report_suppresses_the_right_one_of_several_recipients(keys: ReportKeys) -> None:
    ours = sent(mailboxes=f'["{ADDRESS}", "copy@example.com", "blind@example.com"]')
    said = group("Copy@Example.COM", said="550 5.1.1 User unknown")
    assert read(keys, dsn(said, to=path(ours.id, keys))) == ["matched"]
    assert (delivery(ours.id), suppressed()) == (None, [("copy@example.com", "bounced")])


def test_a_report_about_an_address_that_is_no_recipient_suppresses_nobody(keys: ReportKeys) -> None:
    ours = sent()
    assert read(keys, dsn(group("elsewhere@example.net"), to=path(ours.id, keys))) == ["matched"]
    assert (delivery(ours.id), suppressed()) == ("bounced", [])


def test_a_complaint_without_its_recipient_suppresses_the_only_one(keys: ReportKeys) -> None:
    ours = sent()
    assert read(keys, arf("abuse", "f@example.com", f"Original-Mail-From: <{path(ours.id, keys)}>")) == ["matched"]
    assert (delivery(ours.id), suppressed()) == ("complained", [(ADDRESS, "complained")])


def test_a_complaint_without_its_recipient_suppresses_none_of_several(keys: ReportKeys) -> None:
    ours = sent(mailboxes=f'["{ADDRESS}", "copy@example.com"]')
    assert read(keys, arf("abuse", path(ours.id, keys))) == ["matched"]
    assert suppressed() == []


def test_a_delayed_mail_stays_unconfirmed(keys: ReportKeys) -> None:
    ours = sent()
    assert read(keys, dsn(group(ADDRESS, "delayed", "4.4.1"), to=path(ours.id, keys))) == ["matched"]
    assert (delivery(ours.id), suppressed()) == ("unconfirmed", [])


def test_a_mail_that_is_no_report_is_ignored(keys: ReportKeys) -> None:
    ours = sent()
    assert read(keys, f"To: {path(ours.id, keys)}\nSubject: Away\n\nI am away.\n".encode()) == ["ignored"]


def test_a_report_that_cannot_be_read_stops_no_other(keys: ReportKeys) -> None:
    ours = sent()
    assert read(keys, b"boundary" * 100, dsn(GONE, to=path(ours.id, keys))) == ["unreadable", "matched"]


def test_a_report_that_was_taken_by_a_worker_that_died_is_read_again(keys: ReportKeys) -> None:
    ours = sent()
    incoming_reports.store(Incoming("api", dsn(GONE, to=path(ours.id, keys))))
    assert len(incoming_reports.take(10)) == 1
    assert read(keys) == ["new"]
    rows("UPDATE reports SET due_at = now()")
    assert read(keys) == ["matched"]
    assert delivery(ours.id) == "bounced"


def test_a_report_that_kills_its_readers_is_abandoned(keys: ReportKeys) -> None:
    ours = sent()
    incoming_reports.store(Incoming("api", dsn(GONE, to=path(ours.id, keys))))
    rows("UPDATE reports SET tries = %s", TRIES)
    assert read(keys) == ["unreadable"]


def verified(id: str | None, provider: str = "mail:25", **given: Any) -> Incoming:
    event = Event("delivered", None, id, ADDRESS, None, None, "", None, "1")._replace(**given)
    return Incoming(provider, b"{}", None, [to_json(event)])


def test_a_verified_event_is_matched_by_the_id_that_the_provider_gave(keys: ReportKeys) -> None:
    ours = sent(made={"provider_message_id": "m-1"})
    incoming_reports.store(verified("<m-1>"))
    assert read(keys) == ["matched"]
    assert delivery(ours.id) == "delivered"


def test_a_message_id_of_another_account_matches_nothing(keys: ReportKeys) -> None:
    ours = sent(made={"provider_message_id": "m-1"})
    incoming_reports.store(verified("m-1", "other"))
    read(keys)
    assert delivery(ours.id) is None


def test_an_event_that_overtakes_our_own_commit_is_tried_again(keys: ReportKeys) -> None:
    incoming_reports.store(verified("m-1"))
    assert read(keys) == ["new"]
    ours = sent(made={"provider_message_id": "m-1"})
    rows("UPDATE reports SET due_at = now()")
    assert read(keys) == ["matched"]
    assert delivery(ours.id) == "delivered"


def test_an_event_about_an_unknown_message_ends_as_unmatched(keys: ReportKeys) -> None:
    incoming_reports.store(verified("m-1"))
    for _ in range(TRIES):
        rows("UPDATE reports SET due_at = now() WHERE state = 'new'")
        states = read(keys)
    assert states == ["unmatched"]


def test_old_reports_are_deleted(keys: ReportKeys) -> None:
    read(keys, dsn(), dsn())
    rows("UPDATE reports SET received_at = now() - %s * interval '1 second' WHERE id = 1", incoming_reports.KEPT + 1)
    assert incoming_reports.forget(10) == 1
    assert rows("SELECT count(*) FROM reports") == [(1,)]


def test_an_erasure_removes_addresses_and_words_from_reports(keys: ReportKeys) -> None:
    ours = sent()
    read(keys, dsn(GONE, to=path(ours.id, keys)))
    begun = erasures.begin(1, ADDRESS, By("cli"))
    while erasures.step(begun, 100, By("cli")):
        pass
    assert rows("SELECT recipient, text FROM evidence") == [(None, None)]
    assert rows("SELECT raw = ''::bytea, events FROM reports") == [(True, [])]
    assert delivery(ours.id) == "bounced"


def erase(address: str = ADDRESS) -> None:
    begun = erasures.begin(1, address, By("cli"))
    while erasures.step(begun, 100, By("cli")):
        pass


def kept() -> str:
    """Return all that is stored of reports, as a text."""
    found = rows("SELECT convert_from(raw, 'UTF8'), envelope, events::text FROM reports")
    return str(found + rows("SELECT recipient, text, code FROM evidence"))


def test_a_report_that_is_repeated_keeps_nothing_that_an_erasure_would_miss(keys: ReportKeys) -> None:
    ours = sent()
    bounce = dsn(GONE, to=path(ours.id, keys))
    assert read(keys, bounce, bounce, bounce) == ["matched"] * 3
    assert rows("SELECT id FROM reports WHERE raw <> ''") == [(1,)]
    erase()
    assert ADDRESS not in kept()


def test_a_report_about_an_erased_notification_keeps_nothing(keys: ReportKeys) -> None:
    ours = sent()
    incoming_reports.store(Incoming("api", dsn(GONE, to=path(ours.id, keys))))
    erase()
    assert read(keys, arf("abuse", path(ours.id, keys), f"Original-Rcpt-To: {ADDRESS}")) == ["matched"] * 2
    assert rows("SELECT 1 FROM evidence") == []
    assert ADDRESS not in kept()


def test_a_report_about_two_people_is_emptied_by_the_erasure_of_either(keys: ReportKeys) -> None:
    people = ["ann@example.com", "bob@example.com"]
    for person in people:
        sent(recipient=person, made={"provider_message_id": person})
    told = [verified(person, recipient=person).events for person in people]
    incoming_reports.store(Incoming("mail:25", b"{}", None, [event for events in told for event in events or ()]))
    assert read(keys) == ["matched"]
    erase("bob@example.com")
    assert rows("SELECT events FROM reports") == [([],)]
    assert "bob@example.com" not in kept()
    assert rows("SELECT recipient FROM evidence WHERE recipient IS NOT NULL") == [("ann@example.com",)]


def test_a_report_that_a_dying_worker_had_read_in_part_keeps_what_it_says(keys: ReportKeys) -> None:
    ours = sent()
    assert read(keys, dsn(GONE, to=path(ours.id, keys))) == ["matched"]
    rows("UPDATE reports SET state = 'new', due_at = now()")
    assert read(keys) == ["matched"]
    assert ADDRESS in kept()
    erase()
    assert ADDRESS not in kept()


def test_evidence_is_deleted_with_its_notification(keys: ReportKeys) -> None:
    gone, kept = sent(), sent()
    read(keys, dsn(GONE, to=path(gone.id, keys)), dsn(GONE, to=path(kept.id, keys)))
    aged([gone.id], 9 * DAY)
    removed()
    assert rows("SELECT notification_id FROM evidence") == [(kept.id,)]
