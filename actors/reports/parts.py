"""Read the parts of a report that comes as a mail (RFC 6522)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import Message
from email.parser import HeaderParser
from email.utils import parsedate_to_datetime

from actors.channels import printable
from actors.reports import tokens

MOST_PARTS = 50
MOST_BLOCKS = 200  # groups of fields in one part
STATUS = frozenset({"message/delivery-status", "message/global-delivery-status"})
FEEDBACK = "message/feedback-report"
# Header fields that hold the address that the report was sent to, or the return path of the mail that it is about.
_ADDRESSED = ("To", "Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To", "Return-Path")
_BLANK = re.compile(r"\r?\n[ \t]*\r?\n")
_UNICODE = re.compile(r"\\x\{([0-9a-fA-F]{2,6})\}")


class Unreadable(Exception):
    """A report is no mail that can be read; the message says why."""


def parse(raw: bytes) -> Message:
    """Return a report as a message. Raise Unreadable if it has too many parts."""
    # The parser looks for the boundaries of all levels in each line.
    if raw.lower().count(b"boundary") > MOST_PARTS:
        raise Unreadable("it has too many parts")
    try:
        return message_from_bytes(raw)
    except RecursionError:
        raise Unreadable("its parts are nested too deep") from None


def parts(message: Message, kinds: frozenset[str]) -> list[Message]:
    """Return the parts of these content types, at most MOST_PARTS."""
    found = []
    for part in message.walk():
        if part.get_content_type() in kinds:
            found.append(part)
            if len(found) == MOST_PARTS:
                break
    return found


def blocks(part: Message) -> list[Message]:
    """Return the groups of fields of a part, which are separated by blank lines.

    The part is not taken as the standard parser reads it, which knows neither global-delivery-status nor encodings.
    """
    text = _body(part)
    found = []
    for block in _BLANK.split(text.strip("\r\n"))[:MOST_BLOCKS]:
        if block.strip():
            found.append(HeaderParser().parsestr(block.strip("\r\n") + "\n"))
    return found


def field(block: Message, name: str) -> str:
    """Return a field as printable text on one line; empty if it is missing."""
    return " ".join(printable_words(str(block.get(name, ""))).split())


def typed(block: Message, name: str) -> str | None:
    """Return the value of a field such as `rfc822; ann@example.com` without its type, or None."""
    given = field(block, name)
    kind, separator, value = given.partition(";")
    if not separator:
        return given or None
    value = value.strip()
    if kind.strip().lower() == "utf-8":  # RFC 6533, section 3
        value = _UNICODE.sub(_character, value)
    return value.strip("<>") or None


def moment(text: str) -> datetime | None:
    """Return a time of a mail (RFC 5322, section 3.3), or None. A time without a zone is taken for UTC."""
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    aware = found if found.tzinfo else found.replace(tzinfo=UTC)
    return aware if 1970 < aware.year < 9999 else None


def printable_words(text: str) -> str:
    """Return at most 500 printable characters of a text."""
    return printable(text.encode("utf-8", "replace").decode("utf-8", "replace"))


def token_of(message: Message, envelope: str | None, *others: str) -> str | None:
    """Return the first token in the envelope, in `others`, or in the addresses of a report, else None."""
    candidates = [*tokens.in_addresses(envelope or "")]
    for other in others:
        bare = other.strip().strip("<>").lower()
        candidates += [bare] if tokens.is_token(bare) else tokens.in_addresses(other)
    for one in _messages(message):
        for name in _ADDRESSED:
            for value in one.get_all(name, [])[:20]:
                candidates += tokens.in_addresses(str(value)[:10_000])
    return candidates[0] if candidates else None


def _messages(message: Message) -> Iterator[Message]:
    """Yield the report, and the mails or headers that it returns."""
    yield message
    for part in parts(message, frozenset({"message/rfc822", "message/global", "text/rfc822-headers"})):
        payload = part.get_payload()
        if isinstance(payload, list):
            yield from (one for one in payload[:1] if isinstance(one, Message))
        elif isinstance(payload, str):
            yield HeaderParser().parsestr(payload[:100_000])


def _body(part: Message) -> str:
    encoding = str(part.get("Content-Transfer-Encoding", "")).strip().lower()
    whole = part.as_bytes(unixfrom=False).replace(b"\r\n", b"\n")
    body = whole.partition(b"\n\n")[2]
    if encoding in ("base64", "quoted-printable"):
        encoded = Message()
        encoded["Content-Transfer-Encoding"] = encoding
        encoded.set_payload(body.decode("ascii", "replace"))
        decoded = encoded.get_payload(decode=True)
        body = decoded if isinstance(decoded, bytes) else body
    return body.decode("utf-8", "replace")


def _character(found: re.Match[str]) -> str:
    code = int(found[1], 16)
    return chr(code) if code < 0x110000 and not 0xD800 <= code < 0xE000 else "\ufffd"
