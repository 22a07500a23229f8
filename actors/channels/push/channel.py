"""The channel `push`."""

from __future__ import annotations

from pathlib import Path
from pkgutil import resolve_name

from actors.channels.contract import Channel, Reader
from actors.channels.push import document, recipients
from settings import Settings, push_accounts
from settings.providers import Provider


def _reader(settings: Settings) -> Reader:
    return document.Reader(settings.callbacks.networks).read


def _check(account: Provider, _settings: Settings) -> None:
    # Only workers check accounts, and only they need to load what reads keys.
    resolve_name("actors.channels.push.keys:check")(account.account)


PUSH = Channel(
    name="push",
    schema=Path(__file__).parent / "schema.json",
    reader=_reader,
    show=document.shown,
    mask=recipients.masked,
    accounts=tuple(push_accounts.FORMS),
    reaches=recipients.reached,
    check=_check,
    provider="actors.channels.push.providers:make",
)
