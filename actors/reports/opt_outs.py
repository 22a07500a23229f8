"""Apply answers to text messages: STOP and START, which name a number and a sender but no notification."""

from __future__ import annotations

from collections.abc import Mapping

from actors.channels.addresses import normalised
from actors.channels.sms.senders import own_sender
from actors.channels.sms.text import pair, parted
from actors.reports.event import Event
from db import opt_outs
from settings import Settings
from settings.sms_accounts import FORMS


class OptOuts:
    """Applies answers. `own`: the sender of each provider for messages that name none."""

    def __init__(self, own: Mapping[str, str]) -> None:
        self._own = own

    @classmethod
    def load(cls, settings: Settings) -> OptOuts:
        accounts = [provider for provider in settings.known_providers if provider.scheme in FORMS]
        return cls({provider.name: own_sender(provider) for provider in accounts})

    def apply(self, event: Event, provider: str) -> bool | None:
        """Apply an event of a provider, whose origin was verified. Return whether it concerns a message of ours.

        Return None if it is about something else. Call within `connection()`.
        """
        meant = parted(normalised(event.recipient)) if event.recipient else None
        if meant is None or event.kind not in {"unsubscribed", "resubscribed"}:
            return None
        number, sender = meant
        addresses = [pair(number, sender)]
        if sender == self._own.get(provider, "").lower():
            addresses.append(pair(number, ""))
        if event.kind == "resubscribed":
            return opt_outs.resume(provider, addresses) > 0
        return opt_outs.stop(provider, addresses, f"answer to {provider}: {event.text}"[:500]) > 0
