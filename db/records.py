"""Arguments and results of the transitions in db/lifecycle."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID


class Draft(NamedTuple):
    """A valid notification to accept. Each field is a column of the same name, of the type in COLUMN_TYPES."""

    type: str
    recipient: str
    subject: str
    message: str
    html: str | None
    on_uncertain: str = "resend"
    failover: str = "safe"  # "always": another provider may send it although the first may have taken it
    client_id: int = 1
    sandbox: bool = False
    queue: str = "normal"  # its priority, for email; else its type and priority, such as sms.normal
    send_at: datetime | None = None
    expires_at: datetime | None = None
    # The fields that only its channel has, as JSON: see migrations/0006_mail.py.
    mail: str | None = None
    template: str | None = None
    template_version: int | None = None
    # All normalised recipients, the main one first: a JSON array. None if it is just what `recipient` says.
    mailboxes: str | None = None
    tags: str | None = None  # a JSON array of strings
    metadata: str | None = None  # a JSON object of strings
    trace: str | None = None  # the trace context that it was accepted in: see migrations/0016_traces.py
    key_id: int | None = None  # the key that it was posted with; None if AUTH is off
    # The contents of the attachments that `mail` lists, in the same order. They have a table of their own.
    contents: tuple[bytes, ...] = ()

    @property
    def priority(self) -> str:
        """The priority that the client asked for."""
        return self.queue.rpartition(".")[2]

    def waits(self, now: datetime) -> bool:
        """Return whether it is to be sent later than `now`."""
        return self.send_at is not None and self.send_at > now


# The column keeps its first name, because a rename needs two releases: see docs/upgrades.md.
_COLUMNS = {"queue": "lane"}
DRAFT_COLUMNS = tuple(_COLUMNS.get(name, name) for name in Draft._fields if name != "contents")
COLUMN_TYPES: defaultdict[str, str] = defaultdict(
    lambda: "text",
    client_id="bigint",
    sandbox="boolean",
    send_at="timestamptz",
    expires_at="timestamptz",
    mail="jsonb",
    template_version="integer",
    mailboxes="jsonb",
    tags="jsonb",
    metadata="jsonb",
    key_id="bigint",
)


class Accepted(NamedTuple):
    """An accepted notification. `failure_reason` and `last_error` are set if it failed at once."""

    id: int
    created_at: datetime
    failure_reason: str | None = None
    last_error: str | None = None


class Times(NamedTuple):
    """The times that a reschedule sets: `send_at` if `sends`, `expires_at` if `expires`. None removes a time."""

    sends: bool
    send_at: datetime | None
    expires: bool
    expires_at: datetime | None


class Claimed(NamedTuple):
    """A notification that a worker may send as long as no other worker has a higher `claim`.

    Fields are columns (`queue` is the column `lane`), except two. `throttled_for`: seconds for which the provider
    has refused it only because we send too fast. `late`: seconds for which it had been due when it was claimed, on the
    database's clock.
    """

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
    sandbox: bool = False
    mail: dict[str, Any] | None = None
    callback_id: int | None = None
    trace: str | None = None
    queue: str = "normal"
    send_at: datetime | None = None
    client_id: int = 1
    bound_provider: str | None = None  # the provider that may have taken it; no other one may send it
    expires_at: datetime | None = None
    claimed_provider: str | None = None  # the provider that its row names; None if there is only one, or none yet
    throttled_for: float = 0.0
    late: float = 0.0

    @property
    def priority(self) -> str:
        """The priority that the client asked for, or `callback`."""
        return self.queue.rpartition(".")[2]


CLAIMED_COLUMNS = tuple(_COLUMNS.get(name, name) for name in Claimed._fields if name not in {"throttled_for", "late"})


class EvidenceWait(NamedTuple):
    """The seconds within which evidence about an attempt may come, and the provider through which it is made."""

    seconds: float
    provider: str


class Attempt(NamedTuple):
    """One attempt. `started` and `finished` are `time.monotonic()` of this process."""

    outcome: str
    worker: UUID
    provider: str
    started: float
    finished: float
    phase: str | None = None
    reply_code: int | None = None
    enhanced_code: str | None = None
    text: str | None = None
    provider_message_id: str | None = None


class Settlement(NamedTuple):
    """The end of a claim. `lifecycle.sent`, `retry`, `failed` and `bounced` make it; `settle` records it."""

    id: int
    claim: int
    status: str
    attempt: Attempt
    reason: str | None = None
    delay: float | None = None
    suppress: int | None = None  # index of an address in `mailboxes`; 0 is the recipient


class Sending(NamedTuple):
    """The ids that a worker may have begun to send, without a recorded outcome."""

    worker: UUID
    ids: Sequence[int]
