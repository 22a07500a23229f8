"""Addresses on the suppression list, in erasures, exports and filters.

They are mail addresses, tokens of push messages such as `fcm:...`, phone numbers, and pairs. A pair is a phone number
and a sender, such as `+41791234567 from acme`. See `actors/channels/sms/text.py:pair`.
"""

from __future__ import annotations

from actors.channels.email import addresses as mail
from actors.channels.push import recipients
from actors.channels.sms import numbers
from actors.channels.sms.numbers import NoNumber

LONGEST = 2_008  # characters: a URL of 2,000 after `webpush:`
FORMS = "a mail address such as name@example.com, a phone number, or a token such as fcm:TOKEN"
_FROM = " from "


def address_fault(address: str) -> str | None:
    """Return a sentence that says why a text is no address of any channel; None if it is one."""
    if _is_push(address):
        try:
            recipients.normalised(address, recipients.ANYWHERE)
        except ValueError as error:
            return f"It {error}."
        return None
    if not _is_phone(address):
        return mail.address_fault(address)
    number, between, sender = address.partition(_FROM)
    try:
        numbers.normalised(number, None)
    except NoNumber as error:
        return f"The number {error}."
    return "It names no sender." if between and not sender.strip() else None


def normalised(address: str) -> str:
    """Return one form for all ways to write an address."""
    if _is_push(address):
        try:
            return recipients.normalised(address, recipients.ANYWHERE)
        except ValueError:  # A text that is not an address is equal only to itself.
            return address
    if not _is_phone(address):
        return mail.normalised(address)
    number, between, sender = address.partition(_FROM)
    try:
        return numbers.normalised(number, None) + between + sender.strip().lower()
    except NoNumber:  # A text that is not an address is equal only to itself.
        return mail.normalised(address)


def _is_phone(address: str) -> bool:
    return address.startswith("+") and "@" not in address


def _is_push(address: str) -> bool:
    return recipients.kind_of(address) in recipients.KINDS
