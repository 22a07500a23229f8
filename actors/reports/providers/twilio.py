"""Twilio: status callbacks and incoming messages, signed over the URL and the fields of the form."""

from __future__ import annotations

import hmac
import re
from base64 import b64encode
from collections.abc import Iterator

from actors.reports.event import Event
from actors.reports.providers import form, opt_out, proof
from actors.reports.providers.fields import Fields
from actors.reports.providers.meaning import DELIVERED, HARD, POLICY, SENDER, SOFT, UNKNOWN, UNSUBSCRIBED
from actors.reports.providers.received import Forged, Received
from actors.reports.reference import REFERENCE
from settings.report_source import ReportSource

_HOST = re.compile(r"http(s?)://[^/:?#]+(?=[/?#]|$)")
_STOPPED = "21610"  # the person has sent STOP
_CODES = {
    "21211": HARD,  # not a valid number
    "21614": HARD,  # not a mobile number
    "30005": HARD,  # unknown destination
    "30006": HARD,  # landline, or a carrier that cannot be reached
    "30001": SOFT,  # queue overflow
    "30003": SOFT,  # the telephone is off
    "30009": SOFT,  # a segment is missing
    "30017": SOFT,  # the carrier is congested
    "30036": SOFT,  # validity period expired
    "30410": SOFT,  # the carrier does not answer
    _STOPPED: POLICY,
    "30004": POLICY,  # the person blocks messages
    "30007": POLICY,  # filtered by the carrier
    "30019": POLICY,  # content too large for the carrier
    "30002": SENDER,  # account suspended
    "30010": SENDER,  # dearer than the highest price allowed
    "30022": SENDER,  # over the rate of the campaign
    "30023": SENDER,  # over the day's limit of the brand
    "30024": SENDER,
    "30032": SENDER,  # toll-free number not verified
    "30034": SENDER,  # number without a registered campaign
    "30035": SENDER,
    "30037": SENDER,  # the number may not send
    "30038": POLICY,  # OTP filtered
    "30450": POLICY,  # suspected fraud
}


def receive(received: Received, source: ReportSource) -> list[Event]:
    """Return the event of a status callback or an incoming message, if it is one that counts."""
    given = form.pairs(received.body)
    _check_signature(received, given, source)
    return _events(Fields(dict(given)), received)


def _check_signature(received: Received, given: list[tuple[str, str]], source: ReportSource) -> None:
    # A rule of the account may ask for SHA-256 instead.
    settings = received.header("X-Twilio-Webhooks-Signature-Settings")
    hashing = "sha256" if "HMAC_SHA256" in settings else "sha1"
    values = "".join(name + value for name, value in sorted(set(given)))
    expected = [
        b64encode(hmac.digest(key.encode(), f"{url}{values}".encode("utf-8", "replace"), hashing)).decode()
        for key in source.keys
        for url in _urls(received.url)
    ]
    signature = received.header("X-Twilio-Signature")
    if not signature or not proof.same(signature, expected):
        raise Forged("the signature is wrong or missing; PUBLIC_URL must be the address that Twilio calls")


def _urls(url: str) -> Iterator[str]:
    """Yield the URL as it was given, and with its port: Twilio signs either."""
    yield url
    if host := _HOST.match(url):
        yield f"{host[0]}:{443 if host[1] else 80}{url[host.end() :]}"


def _events(report: Fields, received: Received) -> list[Event]:
    id, status = report.need("MessageSid"), report.text("MessageStatus", "SmsStatus") or "received"
    person, ours = ("From", "To") if status == "received" else ("To", "From")
    code = report.text("ErrorCode")
    text = report.words("ErrorMessage") or status
    token = received.query.get(REFERENCE)
    event = Event("", token, id, report.need(person), None, code, text, None, f"{id}:{status}")
    senders = [sender for name in ("MessagingServiceSid", ours) if (sender := report.text(name))]
    if status == "received":
        meaning = opt_out.meaning_of(report.text("OptOutType") or report.words("Body"))
        event = event._replace(token=None, provider_message_id=None, text=report.words("Body"))
        return opt_out.per_sender(event, meaning, report.need(person), senders) if meaning else []
    if status in ("delivered", "read"):
        return [event._replace(kind=DELIVERED.kind)]
    if status not in ("undelivered", "failed"):
        return []
    found = _CODES.get(code or "", UNKNOWN)
    bounced = event._replace(kind=found.kind, bounce_class=found.bounce_class)
    if code != _STOPPED:
        return [bounced]
    stopped = event._replace(event_id=f"{event.event_id}/stopped")
    return [bounced, *opt_out.per_sender(stopped, UNSUBSCRIBED, report.need(person), senders)]
