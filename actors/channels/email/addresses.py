"""Is it a mail address? Syntax only; whether anybody lives there is found out by sending."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

from actors.channels.email.mailboxes import on_the_wire, unquoted

# A network of one's own may well be called .local, and a test's .test.
SPECIAL_USE_DOMAIN_NAMES.clear()

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,64}"
_LABEL = r"[A-Za-z0-9]{1,20}(?:-[A-Za-z0-9]{1,20}){0,2}"
# Nearly all addresses look like this, and the library's answer for them is known: it would say yes.
_PLAIN = re.compile(rf"(?=.{{3,254}}\Z)(?=[^@]{{1,64}}@){_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+[A-Za-z]{{2,20}}\Z")


# Mail providers gave out local parts such as `a..b` and `a.`, which RFC 5321 wants in quotes: theirs people write
# without. Elsewhere two dots are a slip, unless quotes say that they are meant. Nothing else is in quotes for a reason.
_DOTTED = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+"
_ODD_DOTS = re.compile(rf"{_DOTTED}@(?:docomo\.ne\.jp|ezweb\.ne\.jp|au\.com)", re.ASCII | re.IGNORECASE)
_QUOTED_DOTS = re.compile(rf'"{_DOTTED}"@.+')

_DOMAIN = "a.aa"  # stands for any domain where only the rest of an address is looked at


def address_fault(address: str) -> str | None:
    """Why this is no mail address, as a sentence, or None.

    Non-ASCII domains (IDNA 2008) and local parts (RFC 6531) are addresses too; domains need not be
    known to the public DNS.
    """
    if _is_plain(address):
        return None
    try:
        if _ODD_DOTS.fullmatch(address):
            address = on_the_wire(address)
        quoted = _QUOTED_DOTS.fullmatch(address) is not None
        if quoted and unquoted(address) != address:
            return "The local part needs no quotes: leave them out."
        local, at, domain = address.rpartition("@")
        end = ">" if domain.endswith(">") else ""
        stand_in = f"{local}{at}{_DOMAIN}{end}" if at else address
        if not _is_plain(stand_in):
            _validate(stand_in, quoted=quoted)
        if fault := _domain_fault(domain, len(local.encode())):
            return fault
        on_the_wire(address)
    except (EmailNotValidError, ValueError) as error:
        return _sentence(str(error))
    return None


def _is_plain(address: str) -> bool:
    return "=?" not in address and _PLAIN.match(address) is not None


@lru_cache(1_000)
def _domain_fault(domain: str, local_octets: int) -> str | None:
    """Return what is wrong with the domain, or with the length of an address that has it, or None.

    The answer is kept, because looking at an internationalized domain takes up to a millisecond. Nothing of a
    local part is kept but its length.
    """
    try:
        _validate(f"{'a' * local_octets}@{domain}")
    except (EmailNotValidError, ValueError) as error:
        return _sentence(str(error))
    return None


def _validate(address: str, *, quoted: bool = False) -> None:
    validate_email(address, check_deliverability=False, globally_deliverable=False, allow_quoted_local=quoted)


def normalised(address: str) -> str:
    """The same for every way to write an address that leads to one mailbox, as good as can be known from outside.

    The domain in ASCII (IDNA 2008) and lower case, the local part in lower case too: that a server tells
    Ann@ from ann@ is allowed (RFC 5321, 2.4), and so rare that nobody who unsubscribed should depend on it.
    Characters that Unicode calls equivalent (NFC) are one. Quotes that a local part does not need are left out.
    """
    try:
        address = unquoted(on_the_wire(address))
    except ValueError:  # What is no address is the same only as itself.
        return address.lower() if address.isascii() else address
    local, at, domain = address.rpartition("@")
    return unicodedata.normalize("NFC", local).lower() + at + domain.lower()


def exact(address: str) -> str:
    """The same for two addresses only where no mail server tells them apart, but for ASCII letter case.

    For permissions: `str.lower` takes U+212A, the Kelvin sign, for a `k`, which no mail server does.
    """
    return unquoted(on_the_wire(address)).encode().lower().decode()


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].removesuffix('.')}."
