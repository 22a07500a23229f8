"""Providers of the configured mail accounts."""

from __future__ import annotations

from actors.channels.email import identity, signer
from actors.channels.email.http.provider import HttpMailProvider
from actors.channels.email.identity import Identities
from actors.channels.email.signer import Signer
from actors.channels.email.smtp_provider import SmtpProvider
from actors.channels.lease import ConnectionLease
from actors.channels.rate import SharedRate
from settings import Settings
from settings.http_account import HttpAccount
from settings.providers import Provider


def make(  # noqa: PLR0913, PLR0917
    provider: Provider,
    settings: Settings,
    lease: ConnectionLease | None = None,
    rate: SharedRate | None = None,
    signing: Signer | None = None,
    identities: Identities | None = None,
) -> SmtpProvider | HttpMailProvider:
    """Return the provider of an account.

    `lease`: this process's share of the account's connections; without it, the process may use all of them. `signing`:
    signs what goes to mail servers; providers with an HTTP API sign by themselves. `identities`: makes the marks of its
    mails; without it, reports about them are not recognised. Both are by default those of this process.
    """
    identities = identities or identity.of_process.identities
    if isinstance(provider.account, HttpAccount):
        return HttpMailProvider(settings, provider, lease, rate, identities=identities)
    signing = signing or signer.of_process(tuple(settings.domains.secrets))
    return SmtpProvider(settings, provider, lease, rate, signing, identities)
