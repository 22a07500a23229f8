"""Channels of the configured mail providers."""

from __future__ import annotations

from actors.channels.email.http.provider import HttpMailProvider
from actors.channels.email.smtp_provider import SmtpProvider
from actors.channels.lease import ConnectionLease
from actors.channels.rate import SharedRate
from settings import Settings
from settings.http_account import HttpAccount
from settings.providers import Provider


def make(
    provider: Provider, settings: Settings, lease: ConnectionLease | None = None, rate: SharedRate | None = None
) -> SmtpProvider | HttpMailProvider:
    """Return the channel of a provider.

    `lease`: this process's share of the provider's connections; without it, the process may use all of them.
    """
    kind = HttpMailProvider if isinstance(provider.account, HttpAccount) else SmtpProvider
    return kind(settings, provider, lease, rate)
