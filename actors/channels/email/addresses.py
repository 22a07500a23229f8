"""Syntax and comparison of mail addresses. Whether a mailbox exists shows only when mail is sent to it."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

from actors.channels.email.mailboxes import on_the_wire, unquoted

# Private networks use .local, and tests use .test.
SPECIAL_USE_DOMAIN_NAMES.clear()

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,64}"
_LABEL = r"[A-Za-z0-9]{1,20}(?:-[A-Za-z0-9]{1,20}){0,2}"
# Nearly all addresses have this form, which the library always accepts.
_PLAIN = re.compile(rf"(?=.{{3,254}}\Z)(?=[^@]{{1,64}}@){_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+[A-Za-z]{{2,20}}\Z")


# Some mail providers gave out local parts such as `a..b` and `a.`, which RFC 5321 requires in quotes, and which people
# write without. At other domains two dots are a typing error, unless quotes show that they are meant. No other
# address needs quotes.
_DOTTED = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+"
_ODD_DOTS = re.compile(rf"{_DOTTED}@(?:docomo\.ne\.jp|ezweb\.ne\.jp|au\.com)", re.ASCII | re.IGNORECASE)
_QUOTED_DOTS = re.compile(rf'"{_DOTTED}"@.+')

_DOMAIN = "a.aa"  # stands for the domain while only the local part is checked


def address_fault(address: str) -> str | None:
    """Return a sentence that says why this is not a mail address, or None if it is one.

    Non-ASCII domains (IDNA 2008) and local parts (RFC 6531) are accepted. Domains need not exist in the public DNS.
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
    """Return what is wrong with the domain, or with the length of an address in it, or None.

    Answers are cached, because checking an internationalized domain takes up to a millisecond. Of the local part only
    its length is cached.
    """
    try:
        _validate(f"{'a' * local_octets}@{domain}")
    except (EmailNotValidError, ValueError) as error:
        return _sentence(str(error))
    return None


def _validate(address: str, *, quoted: bool = False) -> None:
    validate_email(address, check_deliverability=False, globally_deliverable=False, allow_quoted_local=quoted)


def normalised(address: str) -> str:
    """Return one form for all spellings of an address that very likely lead to the same mailbox.

    The domain is in ASCII (IDNA 2008) and lower case. The local part is in lower case too: servers may distinguish
    Ann@ from ann@ (RFC 5321, 2.4), but that is so rare that an unsubscription should not depend on it. Characters are
    normalized (NFC), and unneeded quotes are removed.
    """
    try:
        address = unquoted(on_the_wire(address))
    except ValueError:  # A text that is not an address equals only itself.
        return address.lower() if address.isascii() else address
    local, at, domain = address.rpartition("@")
    return unicodedata.normalize("NFC", local).lower() + at + domain.lower()


def exact(address: str) -> str:
    """Return a form that is equal for two addresses only if they differ in nothing but ASCII letter case.

    It is for permissions: `str.lower` turns U+212A, the Kelvin sign, into a `k`, which no mail server does.
    """
    return unquoted(on_the_wire(address)).encode().lower().decode()


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].removesuffix('.')}."
