"""Mailjet: one event or a batch in each request, without a signature."""

from __future__ import annotations

from actors.reports.event import Event
from actors.reports.providers.fields import Fields, one_or_many
from actors.reports.providers.meaning import (
    COMPLAINED,
    DELAYED,
    DELIVERED,
    HARD,
    POLICY,
    SENDER,
    SOFT,
    UNKNOWN,
    UNSUBSCRIBED,
    Meaning,
    by_code,
    code_in,
)
from actors.reports.providers.received import Received

LIMIT = 8_000_000  # bytes
_KINDS = {"sent": DELIVERED, "spam": COMPLAINED, "unsub": UNSUBSCRIBED}
_ERRORS = {
    "user unknown": HARD,
    "typofix": HARD,
    "mailbox inactive": SOFT,
    "quota exceeded": SOFT,
    "invalid domain": SOFT,
    "no mail host": SOFT,
    "system issue": SOFT,
    "protocol issue": SOFT,
    "connection issue": SOFT,
    "blacklisted": POLICY,
    "spam reporter": POLICY,
    "relay/access denied": POLICY,
    "content blocked": POLICY,
    "policy issue": POLICY,
    "preblocked": POLICY,
    "sender blocked": SENDER,
    "duplicate in campaign": SENDER,
    "template error": SENDER,
}


def receive(received: Received) -> list[Event]:
    """Return the events."""
    return [event for one in one_or_many(received.body, LIMIT) if (event := _event(one)) is not None]


def _event(event: Fields) -> Event | None:
    text = event.words("smtp_reply", "comment", "error")
    code = code_in(text)
    meaning = _meaning(event, code)
    if meaning is None:
        return None
    return Event(
        kind=meaning.kind,
        token=event.text("CustomID"),
        provider_message_id=event.text("MessageID"),
        recipient=event.text("email"),
        bounce_class=meaning.bounce_class,
        code=code,
        text=text,
        at=event.moment("time"),
        event_id=None,
    )


def _meaning(event: Fields, code: str | None) -> Meaning | None:
    kind, error, hard = event.need("event"), event.text("error") or "", event.flag("hard_bounce")
    if kind not in ("bounce", "blocked"):
        return _KINDS.get(kind)
    if error == "greylisted":
        return DELAYED if not hard else POLICY
    if kind == "blocked":
        return _ERRORS.get(error, POLICY)
    known = _ERRORS.get(error, UNKNOWN)
    if hard and known in (SOFT, UNKNOWN):
        known = HARD
    return by_code(code, known)
