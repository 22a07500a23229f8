"""Forged reports with true addresses and true Message-IDs, in great numbers: they change nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from actors.reports import tokens
from actors.reports.keys import ReportKeys
from actors.reports.reader import ReportReader
from db import incoming_reports, lifecycle
from db.database import rows
from db.records import Claimed
from settings import Settings
from settings.reports import ReportSettings
from tests.integration.rows import GRACE, WORKER, attempt, draft
from tests.reporting import arf, dsn, group

pytestmark = pytest.mark.long

DOMAIN = "bounces.example.com"
SENT, EACH, KINDS = 50, 50, 4
MANY = SENT * EACH * KINDS
SAID = "550 5.1.1 User unknown"


def sent() -> list[Claimed]:
    """Return notifications to different addresses that were sent."""
    stored = lifecycle.accept([draft(f"ann{number}@example.com") for number in range(SENT)], GRACE)
    held = lifecycle.claim([one.id for one in stored], WORKER)
    lifecycle.settle([lifecycle.sent(one, attempt()) for one in held], GRACE, 0)
    return held


def forged(about: Claimed, keys: ReportKeys) -> Iterator[bytes]:
    """Yield a report of each kind that somebody can write who got the mail of another notification."""
    message_id = f"<{keys.identities(ReportSettings()).of(about).mark}@example.com>"
    address = about.recipient
    gone = group(address, said=SAID)
    guessed = tokens.token(about.id, b"guessed")
    yield dsn(gone, message_id=message_id)
    yield dsn(gone, to=f"b+{'a' * tokens.LENGTH}@{DOMAIN}", message_id=message_id)
    yield dsn(gone, to=tokens.return_path(guessed, DOMAIN), envelope_id=guessed, message_id=message_id)
    yield arf("abuse", f"fbl@{DOMAIN}", f"Original-Rcpt-To: <{address}>", f"Message-ID: {message_id}")


def test_ten_thousand_forged_reports_change_nothing_and_are_listed(store: Settings) -> None:
    keys = ReportKeys.load(store.reports)
    reports = [raw for about in sent() for raw in forged(about, keys)]
    rows(
        "INSERT INTO reports (source, raw) SELECT 'smtp', raw FROM unnest(%s) AS raw, generate_series(1, %s)",
        *(reports, EACH),
    )

    ReportReader(keys).turn()

    assert rows("SELECT state, count(*) FROM reports GROUP BY state") == [("unmatched", MANY)]
    assert rows("SELECT delivery_status, count(*) FROM notifications GROUP BY 1") == [(None, SENT)]
    nothing = "SELECT (SELECT count(*) FROM evidence), (SELECT count(*) FROM suppressions)"
    assert rows(nothing) == [(0, 0)]
    listed = incoming_reports.unmatched(None, MANY + 1)
    assert len(listed) == MANY
    named = {event["recipient"] for report in listed for event in report["events"]}
    assert named == {f"ann{number}@example.com" for number in range(SENT)}
