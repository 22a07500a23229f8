"""The channel `sms`."""

from __future__ import annotations

from pathlib import Path

from actors.channels.contract import Channel, Reader
from actors.channels.sms.document import read, shown
from actors.channels.sms.numbers import masked
from actors.channels.sms.senders import own_sender
from settings import Settings
from settings.providers import Provider
from settings.sms_accounts import FORMS


def _reader(_settings: Settings) -> Reader:
    return read


def _check(account: Provider, _settings: Settings) -> None:
    own_sender(account)


SMS = Channel(
    name="sms",
    schema=Path(__file__).parent / "schema.json",
    reader=_reader,
    show=shown,
    mask=masked,
    accounts=tuple(FORMS),
    check=_check,
    provider="actors.channels.sms.provider:make",
)
