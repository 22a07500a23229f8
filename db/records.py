"""What goes into the arrows of lifecycle.py and what comes out."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID


class Draft(NamedTuple):
    """What a client asks for, checked. Each field is a column of the same name, of the type in COLUMN_TYPES."""

    type: str
    recipient: str
    subject: str
    message: str
    html: str | None
    on_uncertain: str = "resend"
    client_id: int = 1
    template: str | None = None
    template_version: int | None = None
    # The recipient as the suppression list has it, where that is something else.
    mailbox: str | None = None


COLUMN_TYPES: defaultdict[str, str] = defaultdict(lambda: "text")
COLUMN_TYPES["client_id"] = "bigint"
COLUMN_TYPES["template_version"] = "integer"


class Accepted(NamedTuple):
    """`failure_reason` and `last_error` are set where it failed at once."""

    id: int
    created_at: datetime
    failure_reason: str | None = None
    last_error: str | None = None


class Claimed(NamedTuple):
    """A notification that is ours to send, as long as nobody else has a higher `claim`. Fields are columns."""

    id: int
    claim: int
    type: str
    recipient: str
    subject: str
    message: str
    html: str | None
    on_uncertain: str
    retry_count: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Attempt:
    """The record of one attempt. `started` and `finished` are `time.monotonic()` of this process."""

    outcome: str
    worker: UUID
    provider: str
    started: float
    finished: float
    phase: str | None = None
    reply_code: int | None = None
    enhanced_code: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a claim ends. Made by lifecycle's `sent`, `retry` and `failed`, recorded by `settle`."""

    id: int
    claim: int
    status: str
    attempt: Attempt
    reason: str | None = None
    delay: float | None = None
    suppress: bool = False

    def values(self, now: float) -> tuple[object, ...]:
        """As `settle` wants them; the attempt's times as seconds before `now`, a `time.monotonic()`."""
        a = self.attempt
        return (
            *(self.id, self.claim, self.status, self.reason, self.delay),
            *(a.outcome, str(a.worker), a.provider, now - a.started, now - a.finished),
            *(a.phase, a.reply_code, a.enhanced_code, a.text, self.suppress),
        )
