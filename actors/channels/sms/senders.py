"""Senders of text messages: a phone number, a short code, a name, or a messaging service of Twilio."""

from __future__ import annotations

import re

from actors.channels.sms.numbers import NoNumber, normalised
from settings import SettingsError
from settings.http_account import HttpAccount
from settings.providers import Provider

NEEDED = ("twilio", "vonage")  # kinds of providers that choose no sender themselves
PREFIX = "sms:"  # of the senders of text messages in `senders` of a client
_SHORT_CODE = re.compile(r"[0-9]{3,8}")
# A name has 11 characters at most (3GPP TS 23.040, 9.1.2.5). More characters than these are not taken everywhere.
_NAME = re.compile(r"(?=[^A-Za-z]*[A-Za-z])[A-Za-z0-9][A-Za-z0-9 &_.+-]{0,10}(?<! )")
_SERVICE = re.compile(r"MG[0-9a-f]{32}")


class NoSender(ValueError):
    """The text is not a sender. The message says why, as the rest of a sentence about the field."""


def normalised_sender(text: str) -> str:
    """Return a sender that a client names: a number in E.164, a short code or a name."""
    if _SHORT_CODE.fullmatch(text) or _NAME.fullmatch(text):
        return text
    try:
        return normalised(text, None)
    except NoNumber:
        wanted = "must be a phone number such as +41791234567, a short code, or a name of 1 to 11 letters and digits"
        raise NoSender(wanted) from None


def is_service(sender: str) -> bool:
    """Return whether a sender is the id of a messaging service of Twilio, which chooses a number itself."""
    return _SERVICE.fullmatch(sender) is not None


def is_number(sender: str) -> bool:
    """Return whether a sender is a phone number in E.164."""
    return sender.startswith("+")


def own_sender(config: Provider) -> str:
    """Return the option `from` of a provider, checked; empty if the provider chooses a sender itself."""
    account = config.account
    if not isinstance(account, HttpAccount):
        raise TypeError(f"the provider {config.name} sends no text messages")
    # In a URL an unescaped + is a space.
    given = f"+{config.sender[1:]}" if config.sender.startswith(" ") else config.sender
    if not given and account.kind in NEEDED:
        raise SettingsError(f"{account.variable} has no option from: add ?from=+15555550100 with a number that you own")
    if not given or (account.kind == "twilio" and is_service(given)):
        return given
    try:
        return normalised_sender(given)
    except NoSender as error:
        raise SettingsError(f"the option from of {account.variable} {error}") from None
