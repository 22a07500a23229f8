"""Records that the test server keeps."""

from __future__ import annotations

from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTPUTF8
from functools import cached_property

from tests.smtp.script import Action, Phase


@dataclass(frozen=True)
class Mail:
    """A mail the server took: it has said 250 after the final dot. `at` is time.monotonic()."""

    sender: str
    recipients: tuple[str, ...]
    raw: bytes
    at: float
    connection: int
    tls: bool
    user: str | None
    options: tuple[str, ...]

    @cached_property
    def parsed(self) -> EmailMessage:
        """The mail as Python reads it."""
        parsed = message_from_bytes(self.raw, policy=SMTPUTF8)
        assert isinstance(parsed, EmailMessage)
        return parsed

    @property
    def message_id(self) -> str:
        """The Message-ID header; empty where there is none."""
        return str(self.parsed["Message-ID"] or "").strip()


@dataclass(frozen=True)
class Refusal:
    """A try that the script, or a wrong password, ended. `at` is time.monotonic()."""

    phase: Phase
    action: Action
    sender: str | None
    recipients: tuple[str, ...]
    at: float
    connection: int
