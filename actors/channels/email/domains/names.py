"""Names of sending domains."""

from __future__ import annotations

from actors.channels.email.addresses import address_fault
from actors.channels.email.mailboxes import on_the_wire
from settings.hosts import is_domain_name


def domain_fault(text: str) -> str | None:
    """Return a sentence that says why a text is not the domain of a mail address; None if it is one."""
    return address_fault(f"a@{text}") or (None if is_domain_name(in_ascii(text)) else "It is no full domain name.")


def in_ascii(text: str) -> str:
    """Return a domain as mails have it: in ASCII (IDNA 2008) and lower case. Raises ValueError."""
    return on_the_wire(f"a@{text}").removeprefix("a@").lower()
