"""Postmark: one event in each request, without a signature."""

from __future__ import annotations

from actors.reports.event import Event
from actors.reports.providers.fields import Fields, document
from actors.reports.providers.meaning import (
    COMPLAINED,
    DELAYED,
    DELIVERED,
    HARD,
    POLICY,
    RESUBSCRIBED,
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

LIMIT = 4_000_000  # bytes; a bounce may contain the mail that came back
_TYPES = {
    "HardBounce": HARD,
    "BadEmailAddress": HARD,
    "SoftBounce": SOFT,
    "DnsError": SOFT,
    "Transient": DELAYED,
    "SpamNotification": POLICY,
    "VirusNotification": POLICY,
    "Blocked": POLICY,
    "ManuallyDeactivated": POLICY,
    "Unconfirmed": SENDER,
    "SMTPApiError": SENDER,
    "DMARCPolicy": SENDER,
    "TemplateRenderingFailed": SENDER,
    "Unknown": UNKNOWN,
    "Unsubscribe": UNSUBSCRIBED,
    "SpamComplaint": COMPLAINED,
}


def receive(received: Received) -> list[Event]:
    """Return the event, if it is one that counts."""
    report = Fields(document(received.body, LIMIT))
    text = report.words("Details", "Description")
    code = code_in(text)
    meaning = _meaning(report, code)
    if meaning is None:
        return []
    bounce = report.text("ID")
    event = Event(
        kind=meaning.kind,
        token=report.fields("Metadata").text(REFERENCE),
        provider_message_id=report.text("MessageID"),
        recipient=report.text("Email", "Recipient"),
        bounce_class=meaning.bounce_class,
        code=code,
        text=text,
        at=report.moment("DeliveredAt", "BouncedAt", "ChangedAt"),
        event_id=f"{report.need('RecordType')}:{bounce}" if bounce else None,
    )
    return [event]


def _meaning(report: Fields, code: str | None) -> Meaning | None:
    match report.need("RecordType"):
        case "Delivery":
            return DELIVERED
        case "SpamComplaint":
            return COMPLAINED
        case "Bounce":
            known = _TYPES.get(report.need("Type"))
            # The words of the server say more than the type, as where a filter refused the mail.
            return by_code(code, known) if known else None
        case "SubscriptionChange" if report.text("Origin") == "Recipient":
            if not report.flag("SuppressSending"):
                return RESUBSCRIBED
            # Bounces and complaints come as events of their own.
            return UNSUBSCRIBED if report.text("SuppressionReason") == "ManualSuppression" else None
    return None
