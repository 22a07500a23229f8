"""Read the directory in which the catcher of `notify up` stores mails as NUMBER.eml, in order of arrival.

Each file begins with the addresses of the envelope as header fields, since Bcc recipients are only there.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

ENVELOPE_FROM = "X-Envelope-From"
ENVELOPE_TO = "X-Envelope-To"


class Mailbox:
    """The directory of caught mails."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def numbers(self) -> list[int]:
        """Return the numbers of all mails, oldest first."""
        return sorted(int(path.stem) for path in self._directory.glob("*.eml") if path.stem.isdecimal())

    def read(self, number: int) -> EmailMessage | None:
        """Return a mail, or None if it does not exist."""
        with suppress(FileNotFoundError):
            return BytesParser(policy=policy.default).parsebytes(self.path(number).read_bytes())
        return None

    def path(self, number: int) -> Path:
        """Return the path of a mail."""
        return self._directory / f"{number:08d}.eml"


def summary(number: int, mail: EmailMessage) -> dict[str, Any]:
    """Return the fields of a mail that a list shows. `date`: in UTC, or None where the Date header is no date."""
    return {
        "number": number,
        "from": str(mail.get(ENVELOPE_FROM, "")),
        "to": [str(address) for address in mail.get_all(ENVELOPE_TO, [])],
        "subject": str(mail.get("Subject", "")),
        "date": _date(str(mail.get("Date", ""))),
    }


def _date(header: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(header)
        return date.replace(tzinfo=date.tzinfo or UTC).astimezone(UTC)  # -0000 is UTC (RFC 5322, section 3.3).
    except (ValueError, OverflowError):
        return None


def content(mail: EmailMessage) -> dict[str, Any]:
    """Return all headers as pairs, and the text and HTML parts, which may be None."""
    return {
        "headers": [[name, str(value)] for name, value in mail.items()],
        "text": _part(mail, "plain"),
        "html": _part(mail, "html"),
    }


def _part(mail: EmailMessage, kind: str) -> str | None:
    part = mail.get_body((kind,))
    if part is None:
        return None
    raw: Any = part.get_payload(decode=True)
    try:
        return str(raw, part.get_content_charset("utf-8"), "replace")
    except LookupError:  # an unknown charset
        return str(raw, "utf-8", "replace")
