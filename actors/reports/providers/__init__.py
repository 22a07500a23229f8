"""Webhooks of providers: verified, and read as events."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

from actors.reports.event import Event
from actors.reports.providers import (
    brevo,
    mailgun,
    mailjet,
    postmark,
    proof,
    resend,
    sendgrid,
    ses,
    sparkpost,
    twilio,
    vonage,
)
from actors.reports.providers.received import Forged, Malformed, Received, Unavailable
from actors.reports.providers.sns import Sns
from actors.reports.providers.sns_certificates import Fetch
from settings.report_source import ReportSource

__all__ = ["Fetch", "Forged", "Malformed", "Received", "Unavailable", "Webhooks"]

_SIGNED: dict[str, Callable[[Received, ReportSource], list[Event]]] = {
    "sendgrid": sendgrid.receive,
    "mailgun": mailgun.receive,
    "resend": resend.receive,
    "twilio": twilio.receive,
    "vonage": vonage.receive,
}
_UNSIGNED: dict[str, Callable[[Received], list[Event]]] = {
    "postmark": postmark.receive,
    "brevo": brevo.receive,
    "sparkpost": sparkpost.receive,
    "mailjet": mailjet.receive,
}


class Webhooks:
    """Reader of the requests of all providers. One for a process, because it keeps certificates.

    `fetch`: gets an https URL of Amazon SNS. Nothing else is ever fetched.
    """

    def __init__(self, fetch: Fetch) -> None:
        self._sns = Sns(fetch)

    async def receive(self, received: Received, source: ReportSource) -> list[Event]:
        """Return the events in a request; none if it is about something that does not count, such as an opened mail.

        Raises:
            Forged: It does not prove that it comes from the provider. Answer 403, and count it.
            Malformed: The provider sent it, but it is not as documented. Answer 400, and keep it.
            Unavailable: The proof could not be checked now. Answer 503, so that it is repeated.
        """
        if source.secrets or source.kind in _UNSIGNED:
            proof.check_secret(received, source.secrets)
        if source.kind == "ses":
            events = await ses.receive(received, source, self._sns)
        elif source.kind in _SIGNED:
            events = _SIGNED[source.kind](received, source)
        else:
            events = _UNSIGNED[source.kind](received)
        return [_identified(event) for event in events]


def _identified(event: Event) -> Event:
    """Return an event with an id: the provider's, else a digest of what it says, which is the same when repeated."""
    if event.event_id is not None:
        return event
    said = "\n".join(str(part) for part in event)
    return event._replace(event_id=f"sha256:{sha256(said.encode('utf-8', 'replace')).hexdigest()}")
