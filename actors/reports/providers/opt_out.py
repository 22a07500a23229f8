"""Messages by which people stop and resume text messages from a number."""

from __future__ import annotations

from collections.abc import Iterable

from actors.channels.sms.text import pair
from actors.reports.event import Event
from actors.reports.providers.meaning import RESUBSCRIBED, UNSUBSCRIBED, Meaning

# The words that Twilio and the carriers of the USA and Canada act on themselves. YES is left out: people answer it to
# other questions.
_STOP = {"STOP", "STOPALL", "STOP ALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT", "OPT OUT"}
_START = {"START", "UNSTOP"}


def meaning_of(text: str) -> Meaning | None:
    """Return what a message means that consists of one of these words; None for any other message."""
    word = " ".join(text.upper().split()).strip(".!\"' ")
    if word in _STOP:
        return UNSUBSCRIBED
    return RESUBSCRIBED if word in _START else None


def per_sender(event: Event, meaning: Meaning, number: str, senders: Iterable[str]) -> list[Event]:
    """Return an event for each sender that the person means: our number, and the service that it belongs to."""
    return [
        event._replace(
            kind=meaning.kind,
            bounce_class=None,
            recipient=pair(number, sender),
            event_id=f"{event.event_id}/{index}" if index else event.event_id,
        )
        for index, sender in enumerate(senders)
    ]
