"""Addresses on the suppression list, in erasures, exports and filters: mail addresses, phone numbers, and their pairs.

A pair is a phone number and a sender, such as `+41791234567 from acme`. See `actors/channels/sms/text.py:pair`.
"""

from __future__ import annotations

from actors.channels.email import addresses as mail
from actors.channels.sms import numbers
from actors.channels.sms.numbers import NoNumber

_FROM = " from "


def address_fault(address: str) -> str | None:
    """Return a sentence that says why a text is neither a mail address nor a phone number; None if it is one."""
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
    if not _is_phone(address):
        return mail.normalised(address)
    number, between, sender = address.partition(_FROM)
    try:
        return numbers.normalised(number, None) + between + sender.strip().lower()
    except NoNumber:  # A text that is not an address is equal only to itself.
        return mail.normalised(address)


def _is_phone(address: str) -> bool:
    return address.startswith("+") and "@" not in address
