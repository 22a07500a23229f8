"""Channels of the configured mail providers."""

from __future__ import annotations

from actors.channels.email.channel import Email
from actors.channels.email.http.provider import HttpMailProvider
from actors.channels.email.identity import Identities
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
    identities: Identities | None = None,
) -> Email | HttpMailProvider:
    """Return the channel of a provider.

    `lease`: this process's share of the provider's connections; without it, the process may use all of them.
    `identities`: makes the marks of its mails; without it, reports about them are not recognised.
    """
    kind = HttpMailProvider if isinstance(provider.account, HttpAccount) else Email
    return kind(settings, provider, lease, rate, identities=identities)
