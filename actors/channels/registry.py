"""Registry of the channels: our own, and those of other packages by the entry points `notification_system.channels`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from pkgutil import resolve_name

from actors.channels.contract import Channel
from db.models import CALLBACK
from settings import Settings, SettingsError
from settings.providers import Provider

GROUP = "notification_system.channels"
OURS = (
    "actors.channels.email.channel:EMAIL",
    "actors.channels.sms.channel:SMS",
    "actors.channels.push.channel:PUSH",
    "actors.channels.chat.channel:CHAT",
    "actors.channels.webhook.channel:WEBHOOK",
)


@cache
def channels() -> Mapping[str, Channel]:
    """Return all channels by name. The first is the one that documents without a valid type are checked against."""
    found: list[Channel] = [resolve_name(place) for place in OURS]
    found += [entry.load() for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name)]
    return {channel.name: channel for channel in found}


def pausable() -> list[str]:
    """Return what can be paused: the channels and callbacks."""
    return [*channels(), CALLBACK]


def channel(name: str) -> Channel:
    """Return the channel of this name; raise KeyError if there is none."""
    return channels()[name]


def accounts(of: Channel, settings: Settings) -> list[Provider]:
    """Return the accounts of a channel."""
    return [provider for provider in settings.known_providers if provider.scheme in of.accounts]


def served(settings: Settings) -> list[str]:
    """Return the names of the channels that a worker with these settings can deliver."""
    return [name for name, one in channels().items() if not one.accounts or accounts(one, settings)]


def of_scheme(scheme: str) -> Channel:
    """Return the channel whose accounts have URLs of this scheme; raise StopIteration if there is none."""
    return next(one for one in channels().values() if scheme in one.accounts)


def check(settings: Settings) -> None:
    """Raise SettingsError if there is no provider, or one that no channel can use."""
    for provider in settings.providers:
        try:
            channel = of_scheme(provider.scheme)
        except StopIteration:
            known = ", ".join(f"{scheme}://" for one in channels().values() for scheme in one.accounts)
            what = f"{provider.variable} begins with {provider.scheme}://, which no channel uses: use one of {known}"
            raise SettingsError(what) from None
        channel.check(provider, settings)
