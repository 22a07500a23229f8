"""Brevo: one event or a batch in each request, without a signature."""

from __future__ import annotations

import re

from actors.reports.event import Event
from actors.reports.providers.fields import Fields, one_or_many
from actors.reports.providers.meaning import (
    COMPLAINED,
    DELAYED,
    DELIVERED,
    HARD,
    POLICY,
    SOFT,
    UNKNOWN,
    UNSUBSCRIBED,
    by_code,
    code_in,
)
from actors.reports.providers.received import Received
from actors.reports.reference import REFERENCE

LIMIT = 8_000_000  # bytes
_KINDS = {
    "delivered": DELIVERED,
    "hard_bounce": HARD,
    "invalid_email": HARD,
    "soft_bounce": SOFT,
    "blocked": POLICY,
    "error": UNKNOWN,
    "deferred": DELAYED,
    "spam": COMPLAINED,
    "complaint": COMPLAINED,
    "unsubscribe": UNSUBSCRIBED,
    "unsubscribed": UNSUBSCRIBED,
}
# The header X-Mailin-custom comes back as text: `name:value` between bars, or JSON.
_TOKEN = re.compile(rf'{REFERENCE}"?\s*:\s*"?([\w.=-]{{1,200}})', re.ASCII)


def receive(received: Received) -> list[Event]:
    """Return the events."""
    return [event for one in one_or_many(received.body, LIMIT) if (event := _event(one)) is not None]


def _event(report: Fields) -> Event | None:
    text = report.words("reason")
    code = code_in(text)
    meaning = _KINDS.get(report.need("event"))
    if meaning is None:
        return None
    meaning = by_code(code, meaning)
    token = _TOKEN.search(report.words("X-Mailin-custom"))
    id = report.text("message-id")
    return Event(
        kind=meaning.kind,
        token=token[1] if token else None,
        provider_message_id=id.strip("<>") if id else None,
        recipient=report.text("email"),
        bounce_class=meaning.bounce_class,
        code=code,
        text=text,
        # Only this one is in UTC; the others are in the time zone of the account.
        at=report.moment("ts_epoch", per_second=1_000),
        event_id=None,
    )
