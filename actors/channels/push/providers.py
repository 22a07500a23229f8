"""Make the providers of push accounts. Only workers import this."""

from __future__ import annotations

from actors.channels.lease import ConnectionLease
from actors.channels.push.provider import PushProvider
from actors.channels.rate import SharedRate
from settings import Settings
from settings.providers import Provider


def make(
    provider: Provider | None, settings: Settings, lease: ConnectionLease | None, rate: SharedRate | None
) -> PushProvider:
    """Return the provider of an account."""
    if provider is None:
        raise TypeError("push messages need an account")
    return PushProvider(settings, provider, lease, rate)
