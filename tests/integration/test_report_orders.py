"""Events of every provider in whichever order they come, before and after our own commit of `sent`."""

from __future__ import annotations

import time
from itertools import permutations

import pytest

from actors.reports.event import Event
from actors.reports.keys import ReportKeys
from actors.reports.reader import ReportReader
from actors.reports.stored_events import to_json
from db import incoming_reports, lifecycle
from db.database import rows
from db.incoming_reports import Incoming
from db.records import Claimed
from settings import Settings
from tests.integration.rows import GRACE, WORKER, attempt, draft
from tests.integration.test_evidence import LADDER
from tests.reports.providers import PROVIDERS
from tests.reports.requests import NOW, Provider

pytestmark = [pytest.mark.usefixtures("store"), pytest.mark.long]

EACH = pytest.mark.parametrize("provider", PROVIDERS.values(), ids=list(PROVIDERS))
STATUS = {"delayed": "unconfirmed", "delivered": "delivered", "bounced": "bounced", "complained": "complained"}


@pytest.fixture
def reader(store: Settings) -> ReportReader:
    return ReportReader(ReportKeys.load(store.reports))


def events(provider: Provider) -> list[Event]:
    """Return one event of each kind that the provider documents, from the lowest to the highest."""
    found: dict[str, Event] = {}
    for one in provider.documented:
        for event in provider.read(provider.sign(one.payload, 0, NOW)):
            if event.kind in LADDER:
                found.setdefault(event.kind, event)
    return [found[kind] for kind in LADDER if kind in found]


def held(count: int) -> list[Claimed]:
    ids = [stored.id for stored in lifecycle.accept([draft() for _ in range(count)], GRACE)]
    return lifecycle.claim(ids, WORKER)


def settle(provider: str, *sent: Claimed) -> None:
    """Record that the provider took these, under their ids as message ids."""
    made = [attempt()._replace(provider=provider, provider_message_id=f"m{one.id}") for one in sent]
    ends = [lifecycle.sent(one, how) for one, how in zip(sent, made, strict=True)]
    assert len(lifecycle.settle(ends, GRACE, time.monotonic())) == len(sent)


def store(provider: str, event: Event, id: int) -> None:
    """Store what the provider says about the message that it took as this notification."""
    told = to_json(event._replace(token=None, provider_message_id=f"m{id}"))
    incoming_reports.store(Incoming(provider, b"{}", None, [told]))


@EACH
def test_in_every_order_the_events_end_the_same(provider: Provider, reader: ReportReader) -> None:
    known = events(provider)
    orders = list(permutations([*known, None]))
    whole = held(len(orders))
    for step in range(len(known) + 1):
        settle(provider.kind, *[one for one, order in zip(whole, orders, strict=True) if order[step] is None])
        for one, order in zip(whole, orders, strict=True):
            if (event := order[step]) is not None:
                store(provider.kind, event, one.id)
        reader.turn()
    # Those that came before our commit are read again.
    rows("UPDATE reports SET due_at = now() WHERE state = 'new'")
    reader.turn()
    assert rows("SELECT status, delivery_status, count(*)::int FROM notifications GROUP BY 1, 2") == [
        ("sent", STATUS[known[-1].kind], len(orders))
    ]
    assert rows("SELECT state, count(*)::int FROM evidence GROUP BY 1") == [("applied", len(orders) * len(known))]
    assert rows("SELECT DISTINCT state FROM reports") == [("matched",)]
    counted = dict(rows("SELECT outcome, sum(number)::int FROM history_new GROUP BY 1"))
    assert counted["sent"] == counted["reported"] == len(orders)
