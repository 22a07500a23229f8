"""A directory of caught mails: NUMBER.eml, numbered as they came, the oldest thrown away.

Above the mail as it was received stand its envelope's addresses, since Bcc and bounces live only there.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path

ENVELOPE_FROM = "X-Envelope-From"
ENVELOPE_TO = "X-Envelope-To"


class Mailbox:
    """Where the catcher puts mails and people read them. One writer at a time."""

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


class Slot:
    """The side that mails are put in; it keeps the newest `keep`."""

    def __init__(self, directory: Path, keep: int) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for unfinished in directory.glob(".*.tmp"):
            unfinished.unlink()
        self._mailbox = Mailbox(directory)
        self._kept = deque(self._mailbox.numbers())
        self._keep = keep
        self._trim()

    def put(self, sender: str, recipients: list[str], content: bytes) -> int:
        """Store a mail; its number. A reader sees the whole file or none."""
        number = self._kept[-1] + 1 if self._kept else 1
        path = self._mailbox.path(number)
        unfinished = path.with_name(f".{path.name}.tmp")
        unfinished.write_bytes(_envelope(sender, recipients) + content)
        unfinished.rename(path)
        self._kept.append(number)
        self._trim()
        return number

    def _trim(self) -> None:
        while len(self._kept) > self._keep:
            self._mailbox.path(self._kept.popleft()).unlink(missing_ok=True)


def _envelope(sender: str, recipients: list[str]) -> bytes:
    lines = [f"{ENVELOPE_FROM}: {sender}", *(f"{ENVELOPE_TO}: {address}" for address in recipients)]
    return "".join(f"{line}\r\n" for line in lines).encode("utf-8", "surrogateescape")
