"""People who answer STOP and START to text messages, as Twilio and Vonage report it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from actors.reports.event import Event
from actors.reports.keys import ReportKeys
from actors.reports.opt_outs import OptOuts
from actors.reports.reader import ReportReader
from actors.reports.stored_events import to_json
from db import incoming_reports, suppressions
from db.database import rows
from db.incoming_reports import Incoming
from db.suppressions import Entry
from settings import Settings
from settings import read as read_settings
from tests.integration.test_report_reader import sent, suppressed

pytestmark = pytest.mark.usefixtures("store")

NUMBER, OWN = "+41791234567", "+15555550100"


@pytest.fixture
def reader(store: Settings) -> ReportReader:
    settings = read_settings({"PROVIDER_TWILIO": f"twilio://AC1:hush@?from={OWN}", "MAIL_FROM": "a@example.com"})
    return ReportReader(ReportKeys.load(store.reports), OptOuts.load(settings))


def text(sender: str = "default", number: str = NUMBER, **given: Any) -> int:
    """A text message that was sent; return its id."""
    made = {"provider": "twilio", "provider_message_id": "SM1"} | given.pop("made", {})
    return sent(recipient=number, mailboxes=json.dumps([number, f"{number} from {sender}"]), made=made, **given).id


def read(reader: ReportReader, kind: str, sender: str = OWN, *, source: str = "twilio") -> str:
    """Have an answer read; return the state of its report."""
    event = Event(kind, None, None, f"{NUMBER} from {sender}", None, None, "STOP", None, f"{kind} {sender}")
    id = incoming_reports.store(Incoming(source, b"", events=[to_json(event)]))
    reader.turn()
    [(state,)] = rows("SELECT state FROM reports WHERE id = %s", id)
    return str(state)


def test_stop_suppresses_the_number_for_the_sender_that_it_answers(reader: ReportReader) -> None:
    text()
    text("acme")

    assert read(reader, "unsubscribed", "ACME") == "matched"
    assert suppressed() == [(f"{NUMBER} from acme", "unsubscribed")]


def test_stop_to_the_providers_own_number_suppresses_messages_without_a_sender(reader: ReportReader) -> None:
    text()

    assert read(reader, "unsubscribed") == "matched"
    assert suppressed() == [(f"{NUMBER} from default", "unsubscribed")]


def test_start_removes_suppressions_by_stop_or_refusal_but_no_manual_one(reader: ReportReader) -> None:
    text()
    text("acme")
    read(reader, "unsubscribed")
    suppressions.add(1, Entry(f"{NUMBER} from acme", "manual"))

    assert read(reader, "resubscribed") == "matched"
    assert suppressed() == [(f"{NUMBER} from acme", "manual")]
    assert read(reader, "resubscribed", "acme") == "matched"
    assert suppressed() == [(f"{NUMBER} from acme", "manual")]


@pytest.mark.parametrize(
    ("given", "source", "sender"),
    [
        *(({}, "vonage", OWN), ({}, "twilio", "+15555550199"), ({"sandbox": True}, "twilio", OWN)),
        ({"number": "+41791234568"}, "twilio", OWN),
    ],
)
def test_an_answer_to_a_message_that_was_never_sent_changes_nothing(
    reader: ReportReader, given: dict[str, Any], source: str, sender: str
) -> None:
    text(**given)

    assert read(reader, "unsubscribed", sender, source=source) == "unmatched"
    assert suppressed() == []


def test_stop_applies_to_every_client_that_has_used_the_sender(reader: ReportReader) -> None:
    [(other,)] = rows("INSERT INTO clients (name) VALUES ('other') RETURNING id")
    text()
    text(client_id=other)

    read(reader, "unsubscribed")

    assert rows("SELECT client_id FROM suppressions ORDER BY client_id") == [(1,), (other,)]


def test_a_stop_sent_by_mail_is_ignored(reader: ReportReader) -> None:
    text()
    event = Event("unsubscribed", None, None, f"{NUMBER} from {OWN}", None, None, "STOP", None, None)

    assert reader._opt_outs.apply(event._replace(recipient=NUMBER), "twilio") is None
    assert reader._opt_outs.apply(event._replace(kind="bounced"), "twilio") is None
