"""The directory of mails that the catcher of `notify up` keeps: NUMBER.eml, numbered as they came.

Above the mail as it was received stand its envelope's addresses, since Bcc and bounces live only there.
"""

from __future__ import annotations

from contextlib import suppress
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import Any

ENVELOPE_FROM = "X-Envelope-From"
ENVELOPE_TO = "X-Envelope-To"


class Mailbox:
    """Where people read them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def numbers(self) -> list[int]:
        """The mails that are there, oldest first."""
        return sorted(int(path.stem) for path in self._directory.glob("*.eml") if path.stem.isdecimal())

    def read(self, number: int) -> EmailMessage | None:
        """One mail, or None where it is not (any more)."""
        with suppress(FileNotFoundError):
            return BytesParser(policy=policy.default).parsebytes(self.path(number).read_bytes())
        return None

    def path(self, number: int) -> Path:
        """The file of a mail."""
        return self._directory / f"{number:08d}.eml"


def summary(number: int, mail: EmailMessage) -> dict[str, Any]:
    """What stands in a list."""
    return {
        "number": number,
        "from": str(mail.get(ENVELOPE_FROM, "")),
        "to": [str(address) for address in mail.get_all(ENVELOPE_TO, [])],
        "subject": str(mail.get("Subject", "")),
        "date": str(mail.get("Date", "")),
    }


def content(mail: EmailMessage) -> dict[str, Any]:
    """All headers as pairs, and the texts; None for one that it has not."""
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
    except LookupError:  # a charset that nobody knows
        return str(raw, "utf-8", "replace")
