"""Tables and records for people. Control characters are escaped, so that no text can steer the terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from cli.terminal import moments

WIDEST = 48  # characters of a column
# Explicit directional formatting characters (UAX #9, section 2): they reorder the text around them.
DIRECTIONAL = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
COLUMNS = {
    "id": "ID",
    "status": "STATUS",
    "retryCount": "RETRIES",
    "recipient": "RECIPIENT",
    "subject": "SUBJECT",
    "createdAt": "CREATED",
}
FIELDS = {
    "status": "Status",
    "deliveryStatus": "Delivery",
    "failureReason": "Reason",
    "lastError": "Last error",
    "type": "Type",
    "from": "From",
    "recipient": "Recipient",
    "cc": "Cc",
    "bcc": "Bcc",
    "replyTo": "Reply to",
    "subject": "Subject",
    "attachments": "Attachments",
    "priority": "Priority",
    "sendAt": "Send at",
    "expiresAt": "Expires",
    "attemptCount": "Attempts",
    "createdAt": "Created",
    "nextAttemptAt": "Next attempt",
    "finishedAt": "Finished",
    "erasedAt": "Erased",
}
ATTEMPT = {
    "number": "#",
    "outcome": "OUTCOME",
    "startedAt": "STARTED",
    "provider": "PROVIDER",
    "phase": "PHASE",
    "replyCode": "REPLY CODE",
    "text": "REPLY TEXT",
}


def plain(text: str, keep: str = "") -> str:
    """Return the text with control and directional characters escaped, except those in `keep`.

    Otherwise the sender of a notification could move the cursor of an operator who looks at it.
    """
    return "".join(c if c in keep or not _steers(c) else _escaped(c) for c in text)


def document(raw: str) -> str:
    """Return an equal JSON document that is safe for a terminal.

    Apart from white space, control characters occur only inside the strings of a document, where they may be escaped.
    """
    return plain(raw, keep="\n\r\t ")


def body(text: str) -> str:
    """Return a text of several lines, safe for a terminal."""
    return plain(text.replace("\r\n", "\n"), keep="\n\t")


def table(rows: Iterable[Mapping[str, Any]], columns: Mapping[str, str], widest: int = WIDEST) -> str:
    """Return rows as a table. `columns` maps names to headings; no column is wider than `widest` characters."""
    lines = [list(columns.values()), *([_cell(name, row.get(name), widest) for name in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(_line(line, widths) for line in lines)


def page(one: Mapping[str, Any], columns: Mapping[str, str]) -> str:
    """Return a page of a list as a table, and how to get the next page."""
    more = [f"\nMore: repeat the command with --cursor {plain(one['nextCursor'])}"] if one.get("nextCursor") else []
    return "\n".join([table(one["items"], columns), *more])


def notification(one: Mapping[str, Any], attempts: Sequence[Mapping[str, Any]]) -> str:
    """Return a notification, its attempts and its message as text."""
    known = [(title, value(name, one[name])) for name, title in FIELDS.items() if one.get(name) not in (None, [])]
    lines = [f"Notification {one.get('id')}", *(f"  {title:<12} {plain(text)}" for title, text in known)]
    if attempts:
        lines += ["", table(attempts, ATTEMPT)]
    if message := one.get("message"):
        lines += ["", body(str(message))]
    return "\n".join(lines)


def value(name: str, one: object) -> str:
    """Return the value of a field as text: a list as its entries, a file as its name, a time as people read it."""
    if isinstance(one, list):
        return ", ".join(value(name, entry) for entry in one)
    if isinstance(one, dict) and "filename" in one:
        return str(one["filename"])
    if isinstance(one, datetime) or (isinstance(one, str) and name.endswith(("At", "_at"))):
        return moments.readable(one)
    return str(one)


def details(known: Mapping[str, Any]) -> str:
    """Return the details of an event as `name: value`, in full: the words of a mail server are often the reason."""
    return ", ".join(f"{name}: {value(name, one)}" for name, one in known.items() if one is not None)


def _cell(name: str, one: object, widest: int) -> str:
    text = "" if one is None else plain(value(name, one))
    return text if len(text) <= widest else text[: widest - 1] + "…"


def _line(texts: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(texts, widths, strict=True))
    return "  ".join(padded).rstrip()


def _steers(character: str) -> bool:
    # Cc: control characters; Cs: surrogates, which cannot be encoded; Zl, Zp: line ends for some terminals.
    return character in DIRECTIONAL or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")


def _escaped(character: str) -> str:
    code = ord(character)
    if code < 0x10000:
        return f"\\u{code:04x}"
    # A surrogate pair, as JSON escapes it (RFC 8259, section 7), so that `document` keeps the value.
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
