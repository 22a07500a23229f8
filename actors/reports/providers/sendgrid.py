"""SendGrid: batches of events, signed with ECDSA over the timestamp and the raw body."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterable
from datetime import timedelta

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from actors.reports.event import Event
from actors.reports.providers import proof
from actors.reports.providers.fields import Fields, many
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
from actors.reports.providers.received import Forged, Received
from actors.reports.reference import REFERENCE
from settings.report_source import ReportSource

LIMIT = 8_000_000  # bytes
OLDEST = timedelta(hours=25)  # SendGrid repeats a request for 24 hours
_KINDS = {
    "deferred": DELAYED,
    "delivered": DELIVERED,
    "spamreport": COMPLAINED,
    "unsubscribe": UNSUBSCRIBED,
    "group_unsubscribe": UNSUBSCRIBED,
    "group_resubscribe": RESUBSCRIBED,
}
_CLASSES = {
    "Invalid Address": HARD,
    "Technical": SOFT,
    "Technical Failure": SOFT,
    "Mailbox Unavailable": SOFT,
    "Content": POLICY,
    "Reputation": POLICY,
    "Frequency/Volume": POLICY,
    "Frequency or Volume Too High": POLICY,
}
_DROPPED = {"invalid smtpapi header": SENDER, "recipient list over package quota": SENDER}
# X-Message-Id of the answer to our request, followed by the server that worked on the mail.
_MESSAGE_ID = re.compile(r"(.+?)\.(?:filter|recv)")


def receive(received: Received, source: ReportSource) -> list[Event]:
    """Return the events of a batch."""
    timestamp = received.header("X-Twilio-Email-Event-Webhook-Timestamp")
    signature = proof.from_base64(received.header("X-Twilio-Email-Event-Webhook-Signature"))
    proof.check_seconds(timestamp, received.at, OLDEST)
    if not _signed(timestamp.encode() + received.body, signature, source.keys):
        raise Forged("the signature is wrong or missing")
    return [event for one in many(received.body, LIMIT) if (event := _event(one)) is not None]


def _signed(content: bytes, signature: bytes, keys: Iterable[str]) -> bool:
    for key in keys:
        try:
            public = load_der_public_key(b64decode(key))
            if isinstance(public, EllipticCurvePublicKey):
                public.verify(signature, content, ECDSA(SHA256()))
                return True
        except (InvalidSignature, ValueError):
            continue
    return False


def _event(event: Fields) -> Event | None:
    kind = event.need("event")
    text = event.words("response", "reason")
    code = event.text("status") or code_in(text)
    meaning = _meaning(kind, event, code)
    if meaning is None:
        return None
    id = event.text("sg_message_id") or ""
    known = _MESSAGE_ID.match(id)
    return Event(
        kind=meaning.kind,
        token=event.text(REFERENCE),
        provider_message_id=(known[1] if known else id) or None,
        recipient=event.text("email"),
        bounce_class=meaning.bounce_class,
        code=code,
        text=text,
        at=event.moment("timestamp"),
        event_id=event.text("sg_event_id"),
    )


def _meaning(kind: str, event: Fields, code: str | None) -> Meaning | None:
    if kind == "dropped":
        return _DROPPED.get(event.words("reason").lower(), POLICY)
    if kind != "bounce":
        return _KINDS.get(kind)
    known = _CLASSES.get(event.text("bounce_classification") or "", UNKNOWN)
    if event.text("type") == "blocked":
        return known if known in (SOFT, POLICY) else POLICY
    return by_code(code, known)
