"""Channels of the configured mail providers."""

from __future__ import annotations

from actors.channels import Channel
from actors.channels.email.http.provider import HttpMailProvider
from actors.channels.lease import ConnectionLease
from settings import Settings
from settings.providers import Provider


def make(provider: Provider, settings: Settings, lease: ConnectionLease | None = None) -> Channel:
    """Return the channel of a provider with an HTTP API.

    `lease`: this process's share of the provider's connections; without it, the process may use all of them.
    """
    return HttpMailProvider(provider, settings, lease)
