"""A notification as an Internet message (RFC 5322, MIME).

Written by hand, because Python's email library reads again what it is given: a subject of
`=?utf-8?q?hi?=` arrives as `hi`, a quoted local part as another one, and characters such as U+2028
are taken for line ends. It also takes twenty times as long. The tests read every mail with it.
"""

from __future__ import annotations

import re
from base64 import b64encode
from email.utils import format_datetime
from typing import NamedTuple

import idna

from actors.channels import Refused
from actors.channels.mime import body
from db.records import Claimed
from settings import SettingsError

LINE = 66  # characters of a header line behind its name: 78 is what RFC 5322, 2.1.1 recommends in all
WORD = 39  # octets in an encoded word; with the longest name before it, a line of at most 76 (RFC 2047, 2)
ADDRESS_LIMIT = 254  # octets: RFC 5321, 4.5.3.1.3 less the brackets

# Runs of whole words, as long as a line may be.
_RUN = re.compile(rf"\S.{{0,{LINE - 1}}}(?!\S)")
# What some program or other takes for the end of a line, and what RFC 5322 has no place for.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_ADDRESS = r'((?:"(?:[^"\\]|\\.)*"|[^\s"<>@]+)@[^\s"<>@]+)'
_MAILBOX = re.compile(rf"(?:(.*?)\s*<{_ADDRESS}>|{_ADDRESS})", re.DOTALL)


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
        """MAIL_FROM, with or without a display name, which need not be quoted; raises SettingsError."""
        mailbox = _MAILBOX.fullmatch(text.strip())
        if mailbox is None:
            raise SettingsError("MAIL_FROM is no mail address: give noreply@example.com or Shop <noreply@example.com>")
        name, boxed, bare = mailbox.groups("")
        try:
            return cls(_unquoted(name), on_the_wire(boxed or bare))
        except ValueError as error:
            raise SettingsError(f"MAIL_FROM is no mail address: {error}") from None

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]

    @property
    def mailbox(self) -> str:
        """As the From header has it."""
        return f"{_phrase(self.name)} <{self.address}>" if self.name else self.address


def compose(notification: Claimed, sender: Sender) -> Mail:
    """The mail of a notification: byte for byte the same in every attempt.

    Raises:
        Refused: the recipient is no address.
    """
    try:
        recipient = on_the_wire(notification.recipient)
    except ValueError as error:
        raise Refused(str(error), phase="compose") from None
    header = {
        "From": sender.mailbox,
        "To": recipient,
        "Subject": _unstructured(notification.subject),
        "Date": format_datetime(notification.created_at),
        "Message-ID": message_id(notification, sender.domain),
        "Auto-Submitted": "auto-generated",  # RFC 3834: no out-of-office answers, please.
    }
    # Only an address whose local part is not ASCII needs SMTPUTF8 (RFC 6531, 6532).
    utf8 = not (recipient.isascii() and sender.address.isascii())
    lines = "".join(f"{name}: {value}\r\n" for name, value in header.items())
    content = body(notification.message, notification.html, f"=_{_unique(notification)}")
    return Mail(sender.address, recipient, lines.encode() + content, utf8)


def message_id(notification: Claimed, domain: str) -> str:
    """The same in every attempt (RFC 5322, 3.6.4), so that a mail system can drop a second copy.

    The time of creation keeps two installations that send for one domain apart.
    """
    return f"<{_unique(notification)}@{domain}>"


def _unique(notification: Claimed) -> str:
    return f"{notification.id}.{round(notification.created_at.timestamp() * 1_000_000):x}"


def on_the_wire(address: str) -> str:
    """The address with its domain in ASCII (IDNA 2008); raises ValueError where it can be none."""
    local, _, domain = address.rpartition("@")
    if _CONTROL.search(address):
        raise ValueError("the address holds a control character")
    if not domain.isascii():
        domain = idna.encode(domain, uts46=True).decode()
    if not local or len(local.encode()) + 1 + len(domain) > ADDRESS_LIMIT:
        raise ValueError(f"the address has no local part or more than {ADDRESS_LIMIT} octets")
    return f"{local}@{domain}"


def _unstructured(text: str) -> str:
    """A text as the value of a header: folded between words where it is plain ASCII, else encoded."""
    if _plain(text):
        runs = _RUN.findall(text)
        # Otherwise a word is longer than a line, or there is space that folding may lose.
        if " ".join(runs) == text:
            return "\r\n ".join(runs)
    return _encoded(text)


def _phrase(text: str) -> str:
    """A display name: quoted where it is short and plain ASCII, else encoded."""
    if _plain(text) and len(text) <= LINE:
        return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
    return _encoded(text)


def _plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and "=?" not in text


def _encoded(text: str) -> str:
    """Encoded words (RFC 2047), each of whole characters, one on a line; control characters become spaces."""
    words = [b""]
    for octets in map(str.encode, _CONTROL.sub(" ", text)):
        if len(words[-1]) + len(octets) > WORD:
            words.append(b"")
        words[-1] += octets
    return "\r\n ".join(f"=?utf-8?b?{b64encode(word).decode()}?=" for word in words)


def _unquoted(name: str) -> str:
    quoted = len(name) > 1 and name[0] == name[-1] == '"'
    return re.sub(r"\\(.)", r"\1", name[1:-1]) if quoted else name
