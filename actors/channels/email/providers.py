"""Channels of the configured mail providers."""

from __future__ import annotations

from actors.channels.email.channel import Email
from actors.channels.email.http.provider import HttpMailProvider
from actors.channels.email.signer import Signer
from actors.channels.lease import ConnectionLease
from actors.channels.rate import SharedRate
from settings import Settings
from settings.http_account import HttpAccount
from settings.providers import Provider


def make(
    provider: Provider,
    settings: Settings,
    lease: ConnectionLease | None = None,
    rate: SharedRate | None = None,
    signer: Signer | None = None,
) -> Email | HttpMailProvider:
    """Return the channel of a provider.

    `lease`: this process's share of the provider's connections; without it, the process may use all of them. `signer`:
    signs what goes to mail servers; providers with an HTTP API sign by themselves.
    """
    if isinstance(provider.account, HttpAccount):
        return HttpMailProvider(settings, provider, lease, rate)
    return Email(settings, provider, lease, rate, signer)
