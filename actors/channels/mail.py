"""A notification as an Internet message (RFC 5322, MIME)."""

from __future__ import annotations

from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from typing import NamedTuple

import idna

from db.records import Claimed

# Bodies travel as 7 bit, so that no server needs 8BITMIME (RFC 6152).
ASCII = SMTP.clone(cte_type="7bit")
# Only an address whose local part is not ASCII needs this, and the server's SMTPUTF8 (RFC 6531, 6532).
UTF8 = SMTP.clone(cte_type="7bit", utf8=True)


class Mail(NamedTuple):
    """`content` has CRLF line ends and is not yet dot-stuffed; `utf8`: the server must offer SMTPUTF8."""

    sender: str
    recipient: str
    content: bytes
    utf8: bool


class Sender(NamedTuple):
    name: str
    address: str

    @classmethod
    def parse(cls, text: str) -> Sender:
        """MAIL_FROM, with or without a display name."""
        name, address = parseaddr(text)
        return cls(name, on_the_wire(address))

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]


def compose(notification: Claimed, sender: Sender) -> Mail:
    """The mail of a notification: byte for byte the same in every attempt, but for MIME boundaries."""
    recipient = on_the_wire(notification.recipient)
    utf8 = not (recipient.isascii() and sender.address.isascii())
    message = EmailMessage(UTF8 if utf8 else ASCII)
    message["From"] = _header(sender.name, sender.address)
    message["To"] = _header("", recipient)
    message["Subject"] = notification.subject
    message["Date"] = format_datetime(notification.created_at)
    message["Message-ID"] = message_id(notification, sender.domain)
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers, please.
    message.set_content(notification.message)
    if notification.html is not None:
        message.add_alternative(notification.html, subtype="html")
    return Mail(sender.address, recipient, message.as_bytes(), utf8)


def message_id(notification: Claimed, domain: str) -> str:
    """The same in every attempt (RFC 5322, 3.6.4), so that a mail system can drop a second copy.

    The time of creation keeps two installations that send for one domain apart.
    """
    return f"<{notification.id}.{int(notification.created_at.timestamp() * 1_000_000):x}@{domain}>"


def on_the_wire(address: str) -> str:
    """The address with its domain in ASCII (IDNA 2008)."""
    local, _, domain = address.rpartition("@")
    return address if domain.isascii() else f"{local}@{idna.encode(domain, uts46=True).decode()}"


def _header(name: str, address: str) -> Address:
    local, _, domain = address.rpartition("@")
    return Address(name, local, domain)
