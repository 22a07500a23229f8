"""Resend: one event in each request, signed by Svix."""

from __future__ import annotations

from actors.reports.event import Event
from actors.reports.providers.fields import Fields, address, document
from actors.reports.providers.meaning import COMPLAINED, DELAYED, DELIVERED, POLICY, UNKNOWN, by_code, code_in
from actors.reports.providers.received import Received
from actors.reports.providers.ses import BOUNCES
from actors.reports.providers.standard_webhooks import verified_id
from actors.reports.reference import REFERENCE
from settings.report_source import ReportSource

LIMIT = 1_000_000  # bytes
# Meaning, and the field with details.
_KINDS = {
    "email.delivered": (DELIVERED, ""),
    "email.delivery_delayed": (DELAYED, ""),
    "email.complained": (COMPLAINED, ""),
    "email.bounced": (UNKNOWN, "bounce"),
    "email.failed": (UNKNOWN, "failed"),
    "email.suppressed": (POLICY, "suppressed"),
}


def receive(received: Received, source: ReportSource) -> list[Event]:
    """Return the event, if it is one that counts."""
    id = verified_id(received, source.keys)
    report = Fields(document(received.body, LIMIT))
    kind, data = report.need("type"), report.fields("data")
    if kind not in _KINDS:
        return []
    meaning, name = _KINDS[kind]
    details = data.fields(name)
    text = details.words("message", "reason")
    code = code_in(text)
    if kind == "email.bounced":
        meaning = by_code(code, BOUNCES.get((details.text("type") or "", details.text("subType") or ""), UNKNOWN))
    event = Event(
        kind=meaning.kind,
        token=_tag(data),
        provider_message_id=data.text("email_id"),
        recipient=_only(data),
        bounce_class=meaning.bounce_class,
        code=code,
        text=text,
        at=report.moment("created_at"),
        event_id=id,
    )
    return [event]


def _tag(data: Fields) -> str | None:
    """Return our token among the tags, which are an object or a list of names and values."""
    if not data.is_list("tags"):
        return data.fields("tags").text(REFERENCE)
    return next((tag.text("value") for tag in data.objects("tags") if tag.text("name") == REFERENCE), None)


def _only(data: Fields) -> str | None:
    """Return the recipient. Resend does not say which one of several an event is about: None."""
    everyone = [*data.texts("to"), *data.texts("cc"), *data.texts("bcc")]
    return address(everyone[0]) if len(everyone) == 1 else None
