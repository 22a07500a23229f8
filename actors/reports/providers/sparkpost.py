"""SparkPost: batches of events, without a signature."""

from __future__ import annotations

from actors.reports.event import Event
from actors.reports.providers.fields import Fields, many
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
from actors.reports.reference import REFERENCE

LIMIT = 8_000_000  # bytes
_KINDS = {
    "delivery": DELIVERED,
    "delay": DELAYED,
    "policy_rejection": POLICY,
    "generation_failure": SENDER,
    "generation_rejection": SENDER,
    "spam_complaint": COMPLAINED,
    "list_unsubscribe": UNSUBSCRIBED,
    "link_unsubscribe": UNSUBSCRIBED,
}
# bounce_class. 60, 80 and 100 are automatic answers, which are no bounces.
_CLASSES = {
    "1": UNKNOWN,
    "10": HARD,  # invalid recipient
    "20": SOFT,
    "21": SOFT,  # DNS failure
    "22": SOFT,  # mailbox full
    "23": SOFT,  # too large
    "24": SOFT,  # time-out
    "25": POLICY,  # refused by a rule of the account
    "30": HARD,  # no recipient
    "40": UNKNOWN,
    "50": POLICY,
    "51": POLICY,
    "52": POLICY,
    "53": POLICY,
    "54": POLICY,
    "60": None,
    "70": SOFT,
    "80": None,
    "90": UNSUBSCRIBED,
    "100": None,
}


def receive(received: Received) -> list[Event]:
    """Return the events of a batch."""
    envelopes = [one.fields("msys") for one in many(received.body, LIMIT)]
    return [event for one in envelopes for inner in one.all() if (event := _event(inner)) is not None]


def _event(event: Fields) -> Event | None:
    text = event.words("raw_reason", "reason")
    code = code_in(text) or event.text("error_code")
    meaning = _meaning(event, code)
    if meaning is None:
        return None
    return Event(
        kind=meaning.kind,
        token=event.fields("rcpt_meta").text(REFERENCE),
        provider_message_id=event.text("transmission_id", "message_id"),
        recipient=event.text("raw_rcpt_to", "rcpt_to"),
        bounce_class=meaning.bounce_class,
        code=code,
        text=text or event.words("fbtype"),
        at=event.moment("timestamp"),
        event_id=event.text("event_id"),
    )


def _meaning(event: Fields, code: str | None) -> Meaning | None:
    kind = event.text("type") or ""
    if kind in ("bounce", "out_of_band"):
        known = _CLASSES.get(event.text("bounce_class") or "", UNKNOWN)
        return by_code(code, known) if known else None
    if kind == "spam_complaint" and event.text("fbtype") == "not-spam":
        return None
    return _KINDS.get(kind)
