"""The channel `email`."""

from __future__ import annotations

from pathlib import Path

from actors.channels.contract import Channel, Reader
from actors.channels.email.document import Mails, shown
from actors.channels.email.mailboxes import mail_from
from runtime.redaction import masked
from settings import Settings
from settings.providers import Provider


def _reader(settings: Settings) -> Reader:
    return Mails(settings).read


def _check(account: Provider, settings: Settings) -> None:
    mail_from(account.sender or settings.smtp.sender)


EMAIL = Channel(
    name="email",
    schema=Path(__file__).parent / "schema.json",
    reader=_reader,
    show=shown,
    mask=masked,
    accounts=("smtp", "smtps", "ses", "postmark", "sendgrid", "mailgun", "resend", "brevo"),
    check=_check,
    provider="actors.channels.email.providers:make",
)
