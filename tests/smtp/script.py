"""Script of the actions that a test wants from the mail server, each at a phase of the conversation."""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, get_args

Phase = Literal["connect", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "body", "dot"]
KNOWS_RECIPIENTS = ("rcpt", "data", "body", "dot")


@dataclass(frozen=True)
class Reply:
    """Answer so, `delay` seconds late. A newline in `text` makes it a multi-line reply.

    The connection is closed after a 421, after a greeting that is not 220 and after a reply in mid-body.
    """

    code: int
    text: str = "scripted"
    delay: float = 0.0


@dataclass(frozen=True)
class Hang:
    """Say nothing until `SmtpServer.release()`, then go on as if unscripted."""


@dataclass(frozen=True)
class Drop:
    """Close the connection without a word."""


Action = Reply | Hang | Drop


@dataclass
class _Rule:
    phase: Phase
    action: Action
    to: str | None
    left: float

    def fits(self, phase: Phase, recipients: Collection[str]) -> bool:
        return self.left > 0 and phase == self.phase and (self.to is None or self.to in recipients)


class Script:
    """Rules in the order they were given; the first that fits and is not used up decides."""

    def __init__(self) -> None:
        self._rules: list[_Rule] = []
        self._lock = threading.Lock()

    def add(self, phase: Phase, action: Action, to: str | None, times: int | None) -> None:
        """Have `action` happen at `phase`, `times` times (None: for ever), for one recipient or for all."""
        if phase not in get_args(Phase):
            raise ValueError(f"{phase!r} is not one of {get_args(Phase)}")
        if to is not None and phase not in KNOWS_RECIPIENTS:
            raise ValueError(f"at {phase} the server does not know the recipient yet")
        with self._lock:
            self._rules.append(_Rule(phase, action, to, float("inf") if times is None else times))

    def clear(self) -> None:
        """Forget every rule: from now on everything is accepted."""
        with self._lock:
            self._rules.clear()

    def take(self, phase: Phase, recipients: Collection[str]) -> Action | None:
        """Return the next action of the script and count it as used, or None to answer as a healthy server does."""
        with self._lock:
            for rule in self._rules:
                if rule.fits(phase, recipients):
                    rule.left -= 1
                    return rule.action
        return None
