"""Mail addresses, with and without a display name, as people write them and as the wire wants them."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

import idna

from settings import SettingsError

ADDRESS_LIMIT = 254  # octets: RFC 5321, 4.5.3.1.3 less the brackets

# What some program or other takes for the end of a line, and what RFC 5322 has no place for.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_SPECIAL = r'\s"<>@,;:()\[\]\\'  # RFC 5322, 3.2.3, without the dot
_DOMAIN = rf'(?:\[[^\s"<>@\[\]\\]*\]|[^{_SPECIAL}]+)'
_ADDRESS = rf"((?:{_QUOTED}|[^{_SPECIAL}]+)@{_DOMAIN})"
_MAILBOX = re.compile(rf"(?:(.*?)\s*<{_ADDRESS}>|{_ADDRESS})", re.DOTALL)
_QUOTED_STRING = re.compile(_QUOTED, re.DOTALL)
_DOT_ATOM = re.compile(rf"[^{_SPECIAL}.]+(?:\.[^{_SPECIAL}.]+)*")
# Most addresses are on the wire as they were written.
_ON_THE_WIRE = re.compile(r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*@[A-Za-z0-9.-]+")
# A mail program may decode an encoded word (RFC 2047) in an address, and then shows another one.
_ENCODED_WORD = re.compile(r"=\?[^?]*\?[bq]\?.*\?=", re.IGNORECASE | re.DOTALL)
_LONE_ADDRESS = re.compile(r'[^\s"<>(),;:/|&@]+@[^\s"<>(),;:/|&@]+')
_COMMAS = str.maketrans("、،؛", ",,;")  # Of other scripts; NFKC knows the full-width ones.


class NotOne(ValueError):
    """A string that holds a list where it must hold one mailbox."""


class Mailbox(NamedTuple):
    """A display name, which may be empty, and an address as it is on the wire."""

    name: str
    address: str

    @classmethod
    def parse(cls, text: str) -> Mailbox:
        """`a@example.com` or `Name <a@example.com>`; the name need not be quoted. Raises ValueError."""
        name, address = split(text.strip())
        return cls(name, on_the_wire(address))

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
    """Return the name and the address of one mailbox as they were written; the name may be empty.

    The address has the shape of one; `address_fault` says whether it is one.

    Raises:
        NotOne: the text is a list, or may be taken for one.
        ValueError: it holds no address.
    """
    mailbox = _MAILBOX.fullmatch(text)
    if mailbox is None:
        if _QUOTED_STRING.sub("", text).count("@") > 1:
            raise NotOne("holds more than one address: give each address as a string of its own")
        raise ValueError("neither an address nor a name with an address in angle brackets")
    name, boxed, bare = mailbox.groups("")
    if _QUOTED_STRING.fullmatch(name):
        return _unquoted(name), boxed
    if holds_addresses(name):
        raise NotOne(
            "has what may be another recipient before its address: give each address as a string of its own, "
            'or put the name in double quotes, as in "Ann, Bob" <name@example.com>'
        )
    return name, boxed or bare


def holds_addresses(name: str) -> bool:
    """Return whether a display name without quotes may be taken for a list of mailboxes.

    `Doe, John` is a name, and so is an address that stands alone, which many programs use as one.
    """
    name = unicodedata.normalize("NFKC", name).translate(_COMMAS)
    if re.search(r"[<>]", name) and re.search(r"[,;]", name):
        return True
    between = r"\s*@\s*" if re.search(r"[,;]", name) else "@"
    return bool(re.search(rf"[^{_SPECIAL}]{between}[^{_SPECIAL}]", name)) and not _LONE_ADDRESS.fullmatch(name)


def on_the_wire(address: str) -> str:
    """Return the address as SMTP has it: the domain in ASCII (IDNA 2008), the local part quoted where it must be.

    `a..b@docomo.ne.jp` becomes `"a..b"@docomo.ne.jp`, which is the same mailbox and the only way to write it that
    RFC 5321, 4.1.2 allows. Raises ValueError where it can be no address.
    """
    if _ON_THE_WIRE.fullmatch(address) and len(address) <= ADDRESS_LIMIT:
        return address
    local, _, domain = address.rpartition("@")
    if CONTROL.search(address):
        raise ValueError("the address holds a control character")
    if _ENCODED_WORD.search(local):
        raise ValueError("the local part of the address looks like an encoded word (RFC 2047)")
    if not _QUOTED_STRING.fullmatch(local):
        local = _quoted_where_needed(local)
    if not domain.isascii():
        domain = _in_ascii(domain)
    if not local or len(local.encode()) + 1 + len(domain) > ADDRESS_LIMIT:
        raise ValueError(f"the address has no local part or more than {ADDRESS_LIMIT} octets")
    return f"{local}@{domain}"


@lru_cache(1_000)
def _in_ascii(domain: str) -> str:
    return idna.encode(domain, uts46=True).decode()


def unquoted(address: str) -> str:
    """Return an address on the wire without the quotes that its local part does not need.

    `"ann"@example.com` and `ann@example.com` are one mailbox (RFC 5321, 4.1.2).
    """
    local, _, domain = address.rpartition("@")
    return f"{_quoted_where_needed(_unquoted(local))}@{domain}" if local[:1] == '"' else address


def _quoted_where_needed(local: str) -> str:
    if not local or _DOT_ATOM.fullmatch(local):
        return local
    return '"' + re.sub(r'(["\\])', r"\\\1", local) + '"'


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
