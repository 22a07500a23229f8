"""Providers of text messages, all of which have an HTTP API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

from actors.channels import Receipt
from actors.channels.email.identity import of_process as identity_of_process
from actors.channels.http_api import Answer, Request
from actors.channels.http_provider import HttpProvider, Posting, http_account
from actors.channels.lease import ConnectionLease
from actors.channels.rate import SharedRate
from actors.channels.sms import generic, sns, twilio, vonage
from actors.channels.sms.reporting import Reporting
from actors.channels.sms.senders import own_sender
from actors.channels.sms.text import Text, compose
from db.records import Claimed
from settings import Settings
from settings.http_account import HttpAccount
from settings.providers import Provider


class Api(Protocol):
    """Module of one kind of provider."""

    def request(self, text: Text, account: HttpAccount) -> Request:
        """Return the request that sends a message."""

    def judge(self, answer: Answer, text: Text) -> Receipt:
        """Return the receipt, or raise what an answer means."""


APIS: Mapping[str, Api] = {"twilio": twilio, "vonage": vonage, "sns": sns, "sms+https": generic}


def make(
    config: Provider | None, settings: Settings, lease: ConnectionLease | None, rate: SharedRate | None
) -> HttpProvider:
    """Return the provider of an account."""
    if config is None:
        raise TypeError("text messages need an account")
    account, own = http_account(config), own_sender(config)
    api = APIS[account.kind]
    reporting = Reporting.of(config, settings.public, identity_of_process.identities)

    def posting(notification: Claimed, _contents: Sequence[bytes]) -> Posting:
        text = compose(notification, own, datetime.now(UTC))
        if reporting:
            text = reporting.marked(text, notification.id)
        return Posting(api.request(text, account), partial(api.judge, text=text))

    return HttpProvider(config, settings, lease, rate, posting)
