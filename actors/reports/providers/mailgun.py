"""Mailgun: one event in each request. Its signature covers a timestamp and a random token, not the event."""

from __future__ import annotations

import hmac
from datetime import timedelta

from actors.reports.event import Event
from actors.reports.providers import proof
from actors.reports.providers.fields import Fields, document
from actors.reports.providers.meaning import (
    COMPLAINED,
    DELAYED,
    DELIVERED,
    POLICY,
    SENDER,
    SOFT,
    UNKNOWN,
    UNSUBSCRIBED,
    Meaning,
    by_code,
    code_in,
)
from actors.reports.providers.received import Forged, Received
from actors.reports.reference import REFERENCE
from settings.report_source import ReportSource

LIMIT = 1_000_000  # bytes
OLDEST = timedelta(hours=9)  # Mailgun repeats a request for 8 hours
_KINDS = {"delivered": DELIVERED, "complained": COMPLAINED, "unsubscribed": UNSUBSCRIBED, "rejected": SENDER}
_REASONS = {
    # Not tried, because of a list of the account.
    "suppress-bounce": POLICY,
    "suppress-complaint": POLICY,
    "suppress-unsubscribe": POLICY,
    "espblock": POLICY,
    "old": SOFT,
}


def receive(received: Received, source: ReportSource) -> list[Event]:
    """Return the event, if it is one that counts. Its id is the signed token, so that no token is used twice."""
    report = Fields(document(received.body, LIMIT))
    signature = report.fields("signature")
    timestamp, token = signature.text("timestamp") or "", signature.text("token") or ""
    proof.check_seconds(timestamp, received.at, OLDEST)
    signed = (hmac.digest(key.encode(), f"{timestamp}{token}".encode(), "sha256").hex() for key in source.keys)
    if not token or not proof.same(signature.text("signature") or "", signed):
        raise Forged("the signature is wrong or missing")
    event = _event(report.fields("event-data"))
    return [event._replace(event_id=token)] if event is not None else []


def _event(event: Fields) -> Event | None:
    status = event.fields("delivery-status")
    text = status.words("message", "description") or event.fields("reject").words("reason") or event.words("reason")
    code = status.text("enhanced-code") or code_in(text) or status.text("code")
    meaning = _meaning(event, code)
    if meaning is None:
        return None
    id = event.fields("message").fields("headers").text("message-id")
    return Event(
        kind=meaning.kind,
        token=event.fields("user-variables").text(REFERENCE),
        provider_message_id=id.strip("<>") if id else None,
        recipient=event.text("recipient"),
        bounce_class=meaning.bounce_class,
        code=code,
        text=text,
        at=event.moment("timestamp"),
        event_id=None,
    )


def _meaning(event: Fields, code: str | None) -> Meaning | None:
    kind = event.need("event")
    if kind != "failed":
        return _KINDS.get(kind)
    if event.text("severity") == "temporary":
        return DELAYED
    # "bounce" is said of every permanent refusal, so that only the code tells what it is about.
    return by_code(code, _REASONS.get(event.text("reason") or "", UNKNOWN))
