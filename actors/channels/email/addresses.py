"""Check and normalise mail addresses. Only the syntax is checked, not whether the mailbox exists."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

from actors.channels.email.mailboxes import on_the_wire, unquoted

# Private networks use .local, tests use .test.
SPECIAL_USE_DOMAIN_NAMES.clear()

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,64}"
_LABEL = r"[A-Za-z0-9]{1,20}(?:-[A-Za-z0-9]{1,20}){0,2}"
# Nearly all addresses match this pattern, and the library accepts every address that does.
_PLAIN = re.compile(rf"(?=.{{3,254}}\Z)(?=[^@]{{1,64}}@){_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+[A-Za-z]{{2,20}}\Z")


# Some providers have issued local parts such as `a..b` and `a.`, which need quotes in RFC 5321 but are written without.
# At other domains two dots are a mistake unless the local part is quoted. No other local part needs quotes.
_DOTTED = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+"
_ODD_DOTS = re.compile(rf"{_DOTTED}@(?:docomo\.ne\.jp|ezweb\.ne\.jp|au\.com)", re.ASCII | re.IGNORECASE)
_QUOTED_DOTS = re.compile(rf'"{_DOTTED}"@.+')

_DOMAIN = "a.aa"  # placeholder when only the rest of an address is checked


def address_fault(address: str) -> str | None:
    """Return a sentence that says why a text is not a mail address; None if it is one.

    Non-ASCII domains (IDNA 2008) and local parts (RFC 6531) are allowed. Domains need not exist in the public DNS.
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
    """Return the fault of a domain, or of the length of an address with it, as a sentence; None if there is none.

    The result is cached, because checking an internationalized domain takes up to a millisecond. Of the local part, the
    cache contains only the length.
    """
    try:
        _validate(f"{'a' * local_octets}@{domain}")
    except (EmailNotValidError, ValueError) as error:
        return _sentence(str(error))
    return None


def _validate(address: str, *, quoted: bool = False) -> None:
    validate_email(address, check_deliverability=False, globally_deliverable=False, allow_quoted_local=quoted)


def normalised(address: str) -> str:
    """Return one form for all ways to write the address of a mailbox, as far as this can be known.

    The domain is in ASCII (IDNA 2008) and lower case. The local part is in lower case too: a server may distinguish
    Ann@ from ann@ (RFC 5321, section 2.4), but this is so rare that a suppression must not depend on it. Equivalent
    Unicode characters are unified (NFC), and unnecessary quotes are removed.
    """
    try:
        address = unquoted(on_the_wire(address))
    except ValueError:  # A text that is not an address is equal only to itself.
        return address.lower() if address.isascii() else address
    local, at, domain = address.rpartition("@")
    return unicodedata.normalize("NFC", local).lower() + at + domain.lower()


def exact(address: str) -> str:
    """Return a form for comparing addresses in permissions: only the case of ASCII letters is ignored.

    `str.lower` would also convert U+212A, the Kelvin sign, to `k`, which mail servers do not do.
    """
    return unquoted(on_the_wire(address)).encode().lower().decode()


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].removesuffix('.')}."
