"""Providers of the configured mail accounts."""

from __future__ import annotations

from actors.channels.email import signer
from actors.channels.email.http.provider import HttpMailProvider
from actors.channels.email.signer import Signer
from actors.channels.email.smtp_provider import SmtpProvider
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
    signing: Signer | None = None,
) -> SmtpProvider | HttpMailProvider:
    """Return the provider of an account.

    `lease`: this process's share of the account's connections; without it, the process may use all of them. `signing`:
    signs what goes to mail servers, by default that of this process; providers with an HTTP API sign by themselves.
    """
    if isinstance(provider.account, HttpAccount):
        return HttpMailProvider(settings, provider, lease, rate)
    return SmtpProvider(settings, provider, lease, rate, signing or signer.of_process(tuple(settings.domains.secrets)))
