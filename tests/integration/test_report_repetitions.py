"""Events of every provider, as often as they come."""

from __future__ import annotations

import pytest

from actors.reports.reader import ReportReader
from db.database import rows
from tests.integration.test_report_orders import EACH, STATUS, events, held, reader, settle, store
from tests.reports.requests import Provider

__all__ = ["reader"]
pytestmark = pytest.mark.usefixtures("store")

OFTEN = 46


@EACH
def test_an_event_that_comes_46_times_counts_once(provider: Provider, reader: ReportReader) -> None:
    known = events(provider)
    whole = held(len(known))
    settle(provider.kind, *whole)
    for one, event in zip(whole, known, strict=True):
        for _ in range(OFTEN):
            store(provider.kind, event, one.id)
    reader.turn()
    assert rows("SELECT count(*)::int FROM reports WHERE state = 'matched'") == [(OFTEN * len(known),)]
    assert rows("SELECT delivery_status FROM notifications ORDER BY id") == [(STATUS[event.kind],) for event in known]
    assert rows("SELECT count(*)::int FROM evidence") == [(len(known),)]
    assert rows("SELECT sum(number)::int FROM history_new WHERE outcome = 'reported'") == [(len(known),)]
