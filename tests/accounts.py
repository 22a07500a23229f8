"""Accounts of providers in settings."""

from __future__ import annotations

from settings import Settings
from settings.smtp_url import SmtpServer


def mail_server(settings: Settings) -> SmtpServer:
    """Return the account of the first provider, which is a mail server."""
    account = settings.providers[0].account
    assert isinstance(account, SmtpServer)
    return account
