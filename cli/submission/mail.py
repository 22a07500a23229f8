"""Parses a mail (RFC 5322, MIME), within limits of parts and of the size of its header."""

from __future__ import annotations

import re
from email.message import Message
from email.parser import BytesParser
from email.policy import Compat32
from typing import Any

from cli.submission import charsets
from cli.submission.refusal import MailRefused

PARTS = 200  # MIME parts, those that only contain others included
HEADER = 100_000  # octets of the mail's header
FIELD = 16_384  # octets of one header field
# A client that ends lines with a bare LF may see the end of a mail where others do not (SMTP smuggling).
_BARE = re.compile(rb"(?<!\r)\n|\r(?!\n)")


class _Raw(Compat32):
    """Policy that gives header fields as they were sent.

    The parser of Python's other policies takes half a minute for 16 kB of quotation marks.
    """

    def header_fetch_parse(self, name: str, value: Any) -> str:
        return str(value)


def parse(content: bytes) -> Message:
    """Return the mail. Raises MailRefused."""
    if _BARE.search(content):
        raise MailRefused("The mail has a CR or LF that is alone: end each line with CRLF (RFC 5321, 2.3.8)")
    if len(content.partition(b"\r\n\r\n")[0]) > HEADER:
        raise MailRefused(f"The header of the mail has more than {HEADER} octets")
    made = 0

    def new(policy: Any) -> Message:
        nonlocal made
        made += 1
        if made > PARTS:
            raise MailRefused(f"The mail has more than {PARTS} MIME parts")
        return Message(policy=policy)

    return BytesParser(policy=_Raw(message_factory=new)).parsebytes(content)


def unfolded(value: str, name: str) -> str:
    """Return a header field's value in one line, still encoded. Raises MailRefused."""
    if len(value) > FIELD:
        raise MailRefused(f"The header field {name} has more than {FIELD} octets")
    line = re.sub(r"[\r\n]+(?=[ \t])", "", value).strip()
    try:
        return line.encode("utf-8", "surrogateescape").decode()
    except UnicodeError:
        raise MailRefused(f"The header field {name} is neither ASCII nor UTF-8: encode it (RFC 2047)") from None


def text_of(value: str, name: str) -> str:
    """Return a header field's value as text. Raises MailRefused."""
    return charsets.unencoded(unfolded(value, name), f"The header field {name}")
