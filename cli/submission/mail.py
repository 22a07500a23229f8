"""Parses a mail (RFC 5322, MIME), within limits of parts and of the size of its header."""

from __future__ import annotations

import re
from email.message import Message
from email.parser import BytesParser
from email.policy import Compat32, Policy
from typing import Any

from cli.submission import charsets
from cli.submission.refusal import MailRefused

PARTS = 200  # MIME parts, those that contain others included
MULTIPARTS = 20  # parts that contain others: each may be looked for in each line
FIELDS = 2_000  # header fields of the mail and all of its parts
LINES = 500_000
HEADER = 100_000  # octets of the mail's header
FIELD = 16_384  # octets of one header field
PARAMETERS = 100  # of one Content-* field; the library's time to split them grows with the square of their number
# A client that ends lines with a bare LF may see the end of a mail where others do not (SMTP smuggling).
_BARE = re.compile(rb"(?<!\r)\n|\r(?!\n)")


class _Limits:
    """Counts the parts of one mail. Its methods raise MailRefused."""

    def __init__(self) -> None:
        self._parts = self._multiparts = self._fields = 0

    def part(self, policy: Policy[Message]) -> Message:
        """Return a new part."""
        self._parts += 1
        if self._parts > PARTS:
            raise MailRefused(f"The mail has more than {PARTS} MIME parts")
        return Message(policy=policy)

    def field(self, name: str, value: str) -> None:
        """Count a header field of the mail or of a part."""
        self._fields += 1
        if self._fields > FIELDS:
            raise MailRefused(f"The mail has more than {FIELDS} header fields")
        if len(value) > FIELD:
            raise MailRefused(f"The header field {name} has more than {FIELD} octets")
        if name.lower().startswith("content-") and value.count(";") > PARAMETERS:
            raise MailRefused(f"The header field {name} has more than {PARAMETERS} parameters (semicolons)")

    def multipart(self) -> None:
        """Count a part that contains others."""
        self._multiparts += 1
        if self._multiparts > MULTIPARTS:
            raise MailRefused(f"The mail has more than {MULTIPARTS} multipart parts")


class _Raw(Compat32):
    """Policy that gives header fields as they were sent.

    The parser of Python's other policies takes half a minute for 16 kB of quotation marks.
    """

    limits = _Limits()

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(sourcelines)
        self.limits.field(name, value)
        if name.lower() == "content-type" and value.strip().lower().startswith("multipart/"):
            self.limits.multipart()
        return name, value

    def header_fetch_parse(self, name: str, value: Any) -> str:
        return str(value)


def parse(content: bytes) -> Message:
    """Return the mail. Raises MailRefused."""
    if _BARE.search(content):
        raise MailRefused("The mail has a CR or LF that is alone: end each line with CRLF (RFC 5321, 2.3.8)")
    if content.count(b"\n") > LINES:
        raise MailRefused(f"The mail has more than {LINES} lines: attach large texts in base64")
    if not content.startswith(b"\r\n") and len(content.partition(b"\r\n\r\n")[0]) > HEADER:
        raise MailRefused(f"The header of the mail has more than {HEADER} octets")
    limits = _Limits()
    policy = _Raw(limits=limits, message_factory=limits.part)  # type: ignore[call-arg]
    return BytesParser(policy=policy).parsebytes(content)


def unfolded(value: str, name: str) -> str:
    """Return a header field's value in one line, still encoded. Raises MailRefused."""
    line = re.sub(r"[\r\n]+(?=[ \t])", "", value).strip()
    try:
        return line.encode("utf-8", "surrogateescape").decode()
    except UnicodeError:
        raise MailRefused(f"The header field {name} is neither ASCII nor UTF-8: encode it (RFC 2047)") from None


def text_of(value: str, name: str) -> str:
    """Return a header field's value as text. Raises MailRefused."""
    return charsets.unencoded(unfolded(value, name), f"The header field {name}")
