"""Is it a mail address? Syntax only; whether anybody lives there is found out by sending."""

from __future__ import annotations

import re
import unicodedata

import idna
from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

# A network of one's own may well be called .local, and a test's .test.
SPECIAL_USE_DOMAIN_NAMES.clear()

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,64}"
_LABEL = r"[A-Za-z0-9]{1,20}(?:-[A-Za-z0-9]{1,20}){0,2}"
# Nearly all addresses look like this, and the library's answer for them is known: it would say yes.
_PLAIN = re.compile(rf"(?=.{{3,254}}\Z)(?=[^@]{{1,64}}@){_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+[A-Za-z]{{2,20}}\Z")


def address_fault(address: str) -> str | None:
    """Why this is no mail address, as a sentence, or None.

    Non-ASCII domains (IDNA 2008) and local parts (RFC 6531) are addresses too; domains need not be
    known to the public DNS.
    """
    if _PLAIN.match(address):
        return None
    try:
        validate_email(address, check_deliverability=False, globally_deliverable=False)
    except EmailNotValidError as error:
        return f"{str(error).removesuffix('.')}."  # Most of its sentences have an end.
    return None


def normalised(address: str) -> str:
    """The same for every way to write an address that leads to one mailbox, as good as can be known from outside.

    The domain in ASCII (IDNA 2008) and lower case, the local part in lower case too: that a server tells
    Ann@ from ann@ is allowed (RFC 5321, 2.4), and so rare that nobody who unsubscribed should depend on it.
    """
    if address.isascii():
        return address.lower()
    local, at, domain = address.rpartition("@")
    if not domain.isascii():
        try:
            domain = idna.encode(domain, uts46=True).decode()
        except idna.IDNAError:  # What is no domain is the same only as itself.
            return address
    return unicodedata.normalize("NFC", local).lower() + at + domain.lower()
