"""Parse mail addresses, with and without a display name, and convert them to the form that SMTP needs."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

import idna

from settings import SettingsError

ADDRESS_LIMIT = 254  # octets: RFC 5321, section 4.5.3.1.3, without the angle brackets

# Control characters (RFC 5322 allows none), and others that some programs take for the end of a line.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_SPECIAL = r'\s"<>@,;:()\[\]\\'  # RFC 5322, 3.2.3, without the dot
_DOMAIN = rf'(?:\[[^\s"<>@\[\]\\]*\]|[^{_SPECIAL}]+)'
_ADDRESS = rf"((?:{_QUOTED}|[^{_SPECIAL}]+)@{_DOMAIN})"
_MAILBOX = re.compile(rf"(?:(.*?)\s*<{_ADDRESS}>|{_ADDRESS})", re.DOTALL)
_QUOTED_STRING = re.compile(_QUOTED, re.DOTALL)
_DOT_ATOM = re.compile(rf"[^{_SPECIAL}.]+(?:\.[^{_SPECIAL}.]+)*")
# Addresses that need no conversion, which most are.
_ON_THE_WIRE = re.compile(r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*@[A-Za-z0-9.-]+")
# A mail program may decode an encoded word (RFC 2047) in an address, and would then show another address.
_ENCODED_WORD = re.compile(r"=\?[^?]*\?[bq]\?.*\?=", re.IGNORECASE | re.DOTALL)
_LONE_ADDRESS = re.compile(r'[^\s"<>(),;:/|&@]+@[^\s"<>(),;:/|&@]+')
_COMMAS = str.maketrans("、،؛", ",,;")  # Of other scripts; NFKC converts the full-width ones.


class NotOne(ValueError):
    """The text is a list of mailboxes, or may be taken for one, but must be a single mailbox."""


class Mailbox(NamedTuple):
    """Display name, which may be empty, and address in the form that SMTP uses."""

    name: str
    address: str

    @classmethod
    def parse(cls, text: str) -> Mailbox:
        """Parse `a@example.com` or `Name <a@example.com>`. The name need not be quoted. Raises ValueError."""
        name, address = split(text.strip())
        return cls(name, on_the_wire(address))

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]


def mail_from(text: str, setting: str = "MAIL_FROM") -> Mailbox:
    """Return the mailbox in a setting. Raises SettingsError."""
    try:
        return Mailbox.parse(text)
    except ValueError as error:
        raise SettingsError(
            f"{setting} is not a mail address: give noreply@example.com or Shop <noreply@example.com> ({error})"
        ) from None


def split(text: str) -> tuple[str, str]:
    """Return the name and the address of a mailbox as written; the name may be empty.

    Only the shape of the address is checked. `address_fault` checks the address itself.

    Raises:
        NotOne: The text is a list, or may be taken for one.
        ValueError: The text contains no address.
    """
    mailbox = _MAILBOX.fullmatch(text)
    if mailbox is None:
        if _QUOTED_STRING.sub("", text).count("@") > 1:
            raise NotOne("contains more than one address: give each address as a string of its own")
        raise ValueError("neither an address nor a name with an address in angle brackets")
    name, boxed, bare = mailbox.groups("")
    if _QUOTED_STRING.fullmatch(name):
        return _unquoted(name), boxed
    if holds_addresses(name):
        raise NotOne(
            "contains a text before its address that may be another recipient: give each address as a string of its "
            'own, or put the name in double quotes, as in "Ann, Bob" <name@example.com>'
        )
    return name, boxed or bare


def holds_addresses(name: str) -> bool:
    """Return whether a display name without quotes may be taken for a list of mailboxes.

    `Doe, John` is a name. A single address is a name too, because many programs use the address as the name.
    """
    name = unicodedata.normalize("NFKC", name).translate(_COMMAS)
    if re.search(r"[<>]", name) and re.search(r"[,;]", name):
        return True
    between = r"\s*@\s*" if re.search(r"[,;]", name) else "@"
    return bool(re.search(rf"[^{_SPECIAL}]{between}[^{_SPECIAL}]", name)) and not _LONE_ADDRESS.fullmatch(name)


def on_the_wire(address: str) -> str:
    """Return the address as SMTP needs it: the domain in ASCII (IDNA 2008), the local part quoted if necessary.

    `a..b@docomo.ne.jp` becomes `"a..b"@docomo.ne.jp`: the same mailbox, in the only form that RFC 5321, section 4.1.2
    allows.

    Raises:
        ValueError: The text cannot be an address.
    """
    if _ON_THE_WIRE.fullmatch(address) and len(address) <= ADDRESS_LIMIT:
        return address
    local, _, domain = address.rpartition("@")
    if CONTROL.search(address):
        raise ValueError("the address contains a control character")
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


def ascii_domain(address: str) -> str:
    """Return the domain of an address in lower case and in ASCII; as it is written if that is not possible."""
    domain = address.rpartition("@")[2]
    if not domain.isascii():
        try:
            domain = _in_ascii(domain)
        except ValueError:
            return domain
    return domain.lower()


def unquoted(address: str) -> str:
    """Return an address without the quotes that its local part does not need.

    `"ann"@example.com` and `ann@example.com` are the same mailbox (RFC 5321, section 4.1.2).
    """
    local, _, domain = address.rpartition("@")
    return f"{_quoted_where_needed(_unquoted(local))}@{domain}" if local[:1] == '"' else address


def _quoted_where_needed(local: str) -> str:
    if not local or _DOT_ATOM.fullmatch(local):
        return local
    return '"' + re.sub(r'(["\\])', r"\\\1", local) + '"'


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
