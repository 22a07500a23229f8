"""Domains of the senders of mails, by which reports are counted."""

from __future__ import annotations

from actors.channels.email.mailboxes import mail_from
from actors.channels.registry import accounts, channel
from settings import Settings


def sender_domains(settings: Settings) -> dict[str, str]:
    """Return the domain of the sender of mails that name none, by mail provider."""
    own = {one.name: one.sender or settings.smtp.sender for one in accounts(channel("email"), settings)}
    return {name: mail_from(sender).domain.lower() for name, sender in own.items()}
