"""What people see: tables and records, with nothing in them that a terminal would obey."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

WIDEST = 48
# What changes the direction of writing: UAX #9, explicit formatting characters.
TURNING = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
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
    "replyCode": "CODE",
    "text": "TEXT",
}


def plain(text: str, keep: str = "") -> str:
    """The text with control and direction-changing characters written out, except those in `keep`.

    Whoever sends a notification must not be able to move the cursor of whoever looks at it.
    """
    return "".join(c if c in keep or not _obeyed(c) else _written_out(c) for c in text)


def document(raw: str) -> str:
    """The same JSON document, safe for a terminal; control characters occur only inside its strings."""
    return plain(raw, keep="\n\r\t ")


def body(text: str) -> str:
    """A text of several lines."""
    return plain(text.replace("\r\n", "\n"), keep="\n\t")


def table(rows: Iterable[Mapping[str, Any]], columns: Mapping[str, str], widest: int = WIDEST) -> str:
    """Rows of `columns` (name to heading), each column as wide as it must be, and no wider than `widest`."""
    lines = [list(columns.values()), *([_cell(row.get(name), widest) for name in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(_line(line, widths) for line in lines)


def page(one: Mapping[str, Any], columns: Mapping[str, str]) -> str:
    """A page of a list, and how to get the next one."""
    more = [f"\nMore: the same with --cursor {plain(one['nextCursor'])}"] if one.get("nextCursor") else []
    return "\n".join([table(one["items"], columns), *more])


def notification(one: Mapping[str, Any], attempts: Sequence[Mapping[str, Any]]) -> str:
    """A notification, its attempts and its message."""
    known = [(title, one[name]) for name, title in FIELDS.items() if one.get(name) not in (None, [])]
    lines = [f"Notification {one.get('id')}", *(f"  {title:<12} {plain(_value(v))}" for title, v in known)]
    if attempts:
        lines += ["", table(attempts, ATTEMPT)]
    if message := one.get("message"):
        lines += ["", body(str(message))]
    return "\n".join(lines)


def _value(value: object) -> str:
    """Of a list its entries, of a file its name."""
    if isinstance(value, list):
        return ", ".join(map(_value, value))
    return str(value["filename"]) if isinstance(value, dict) else str(value)


def _cell(value: object, widest: int) -> str:
    text = "" if value is None else plain(str(value))
    return text if len(text) <= widest else text[: widest - 1] + "…"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return "  ".join(padded).rstrip()


def _obeyed(character: str) -> bool:
    # Cc: controls; Cs: surrogates, which no terminal can be sent; Zl, Zp: line ends to some.
    return character in TURNING or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")


def _written_out(character: str) -> str:
    code = ord(character)
    if code < 0x10000:
        return f"\\u{code:04x}"
    # As JSON writes it, so that a document stays the same document.
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
