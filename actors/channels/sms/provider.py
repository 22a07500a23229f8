"""Providers of text messages: their modules, and the sender that each uses unless the client names one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from actors.channels import Receipt
from actors.channels.http_api import Answer, Request
from actors.channels.sms import generic, sns, twilio, vonage
from actors.channels.sms.senders import NoSender, is_service, normalised_sender
from actors.channels.sms.text import Text
from settings import SettingsError
from settings.http_account import HttpAccount
from settings.providers import Provider


class Api(Protocol):
    """Module of one kind of provider."""

    def request(self, text: Text, account: HttpAccount) -> Request:
        """Return the request that sends a message."""

    def judge(self, answer: Answer, text: Text) -> Receipt:
        """Return the receipt, or raise what an answer means."""


APIS: Mapping[str, Api] = {"twilio": twilio, "vonage": vonage, "sns": sns, "sms+https": generic}
NEEDS_SENDER = ("twilio", "vonage")


def own_sender(config: Provider, account: HttpAccount) -> str:
    """Return the option `from` of a provider, checked; empty if the provider chooses a sender itself."""
    # In a URL an unescaped + is a space.
    given = f"+{config.sender[1:]}" if config.sender.startswith(" ") else config.sender
    if not given and account.kind in NEEDS_SENDER:
        raise SettingsError(f"{account.variable} has no option from: add ?from=+15555550100 with a number that you own")
    if not given or (account.kind == "twilio" and is_service(given)):
        return given
    try:
        return normalised_sender(given)
    except NoSender as error:
        raise SettingsError(f"the option from of {account.variable} {error}") from None
