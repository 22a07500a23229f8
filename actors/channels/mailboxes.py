"""Mail addresses, with and without a display name, as people write them and as the wire wants them."""

from __future__ import annotations

import re
from typing import NamedTuple

import idna

from settings import SettingsError

ADDRESS_LIMIT = 254  # octets: RFC 5321, 4.5.3.1.3 less the brackets

# What some program or other takes for the end of a line, and what RFC 5322 has no place for.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_ADDRESS = r'((?:"(?:[^"\\]|\\.)*"|[^\s"<>@]+)@[^\s"<>@]+)'
_MAILBOX = re.compile(rf"(?:(.*?)\s*<{_ADDRESS}>|{_ADDRESS})", re.DOTALL)


class Mailbox(NamedTuple):
    """A display name, which may be empty, and an address as it is on the wire."""

    name: str
    address: str

    @classmethod
    def parse(cls, text: str) -> Mailbox:
        """`a@example.com` or `Name <a@example.com>`; the name need not be quoted. Raises ValueError."""
        mailbox = _MAILBOX.fullmatch(text.strip())
        if mailbox is None:
            raise ValueError("neither an address nor a name with an address in angle brackets")
        name, boxed, bare = mailbox.groups("")
        return cls(_unquoted(name), on_the_wire(boxed or bare))

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]


def mail_from(text: str) -> Mailbox:
    """MAIL_FROM; raises SettingsError."""
    try:
        return Mailbox.parse(text)
    except ValueError as error:
        raise SettingsError(
            f"MAIL_FROM is no mail address: give noreply@example.com or Shop <noreply@example.com> ({error})"
        ) from None


def split(text: str) -> tuple[str, str]:
    """The name and the address of what may be a mailbox, as they were written; the name is empty where there is none.

    Of what a client sends. Says nothing of whether the address is one; where it is one without quotes,
    `Mailbox.parse` finds the same.
    """
    if not text.endswith(">"):
        return "", text
    name, _, address = text[:-1].rpartition("<")
    return _unquoted(name.strip()), address


def on_the_wire(address: str) -> str:
    """The address with its domain in ASCII (IDNA 2008); raises ValueError where it can be none."""
    local, _, domain = address.rpartition("@")
    if CONTROL.search(address):
        raise ValueError("the address holds a control character")
    if not domain.isascii():
        domain = idna.encode(domain, uts46=True).decode()
    if not local or len(local.encode()) + 1 + len(domain) > ADDRESS_LIMIT:
        raise ValueError(f"the address has no local part or more than {ADDRESS_LIMIT} octets")
    return f"{local}@{domain}"


def _unquoted(name: str) -> str:
    quoted = len(name) > 1 and name[0] == name[-1] == '"'
    return re.sub(r"\\(.)", r"\1", name[1:-1]) if quoted else name
