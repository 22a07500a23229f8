"""A text message on its way to a provider."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from actors.channels import ProviderDown, Refused, Undelivered
from actors.channels.sms.segments import GSM_7, Segments, measure
from db.records import Claimed

_FROM = " from "
OPTED_OUT = 1  # the place of the pair of number and sender in `addresses` of a notification


class Text(NamedTuple):
    """Message to be sent. `sender`: empty if the provider chooses one. `chosen`: the client has named the sender.

    `reference`: an id that is the same in every attempt. `now`: for signatures. `token`: proves that a report is about
    it; empty if reports are not recognised. `report_url`: where the provider is to send reports; empty if nowhere.
    """

    to: str
    body: str
    sender: str
    chosen: bool
    reference: str
    now: datetime
    token: str = ""
    report_url: str = ""

    @property
    def blamed(self) -> type[Undelivered]:
        """The error for a refused sender. One that a client named must not open the breaker for everybody."""
        return Refused if self.chosen else ProviderDown

    @property
    def segments(self) -> Segments:
        return measure(self.body)

    @property
    def is_unicode(self) -> bool:
        """True if the text has characters that GSM-7 does not have."""
        return self.segments.encoding != GSM_7


def compose(notification: Claimed, own_sender: str, now: datetime) -> Text:
    """Return the message of a notification. `own_sender`: the sender of the provider, unless the client names one."""
    named = (notification.mail or {}).get("from")
    created = round(notification.created_at.timestamp() * 1_000_000)
    # The time of creation tells apart two installations that use the same account.
    reference = f"{notification.id}.{created:x}"
    return Text(notification.recipient, notification.message, named or own_sender, bool(named), reference, now)


def pair(number: str, sender: str) -> str:
    """Return the address that suppresses a number for one sender only: STOP to one sender does not stop the others.

    It is in lower case, as all addresses on the suppression list.
    """
    return f"{number}{_FROM}{(sender or 'default').lower()}"


def parted(address: str) -> tuple[str, str] | None:
    """Return number and sender of a pair; None for any other address."""
    number, between, sender = address.partition(_FROM)
    return (number, sender) if between and number.startswith("+") else None
