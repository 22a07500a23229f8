"""Writer of the mailbox of caught mails. api/dashboard/mailbox.py is its reader and defines the files."""

from __future__ import annotations

import threading
from collections import deque
from pathlib import Path

from api.dashboard.mailbox import ENVELOPE_FROM, ENVELOPE_TO, Mailbox


class Slot:
    """Writer that keeps the newest `keep` mails. A directory has one; several threads may use it."""

    def __init__(self, directory: Path, keep: int) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for unfinished in directory.glob(".*.tmp"):
            unfinished.unlink()
        self._mailbox = Mailbox(directory)
        self._kept = deque(self._mailbox.numbers())
        self._keep = keep
        self._lock = threading.Lock()
        self._trim()

    def put(self, sender: str, recipients: list[str], content: bytes) -> int:
        """Store a mail and return its number. A reader never sees part of a file."""
        with self._lock:
            return self._put(_envelope(sender, recipients) + content)

    def _put(self, content: bytes) -> int:
        number = self._kept[-1] + 1 if self._kept else 1
        path = self._mailbox.path(number)
        unfinished = path.with_name(f".{path.name}.tmp")
        unfinished.write_bytes(content)
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
