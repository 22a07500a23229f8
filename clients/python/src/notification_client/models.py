"""Answers of the API about notifications."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from notification_client.decoding import Model

FINAL = frozenset({"sent", "failed", "cancelled"})


@dataclass(frozen=True, kw_only=True)
class AttachmentInfo(Model):
    """An attachment as the API lists it; its content is at `url`."""

    filename: str
    content_type: str
    size: int
    url: str
    content_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class TemplateVersionName(Model):
    """The version of a template."""

    name: str
    version: int


@dataclass(frozen=True, kw_only=True)
class Notification(Model):
    """A notification. Lists, streams and callbacks leave out its long fields, which are then None or empty."""

    id: int
    type: str
    recipient: str
    status: str
    subject: str | None = None
    created_at: datetime | None = None
    message: str | None = None
    html: str | None = None
    sender: str | None = None
    """The `from` of the API."""
    reply_to: str | None = None
    recipient_name: str | None = None
    cc: list[str] = field(default_factory=list)
    bcc: list[str] = field(default_factory=list)
    headers: Mapping[str, str] = field(default_factory=dict)
    attachments: list[AttachmentInfo] = field(default_factory=list)
    unsubscribe: Any = None
    max_segments: int | None = None
    encoding: str | None = None
    """Of a text message: `gsm-7` or `ucs-2`."""
    segments: int | None = None
    data: Mapping[str, Any] | None = None
    """Of a chat message: further fields of the service's own request. Of a push message: texts for the app."""
    payload: Any = None
    """Of a webhook: the `data` of its body. Its event is the subject."""
    template: TemplateVersionName | None = None
    priority: str = "normal"
    on_uncertain: str = "resend"
    failover: str = "safe"
    send_at: datetime | None = None
    expires_at: datetime | None = None
    sandbox: bool = False
    tags: list[str] = field(default_factory=list)
    metadata: Mapping[str, str] = field(default_factory=dict)
    badge: int | None = None
    sound: str | None = None
    url: str | None = None
    registered_at: datetime | None = None
    """Of a push message: when the app last registered its device token."""
    attempt_count: int = 0
    retry_count: int = 0
    last_error: str | None = None
    failure_reason: str | None = None
    delivery_status: str | None = None
    delivery_evidence: Mapping[str, Any] | None = None
    next_attempt_at: datetime | None = None
    finished_at: datetime | None = None
    erased_at: datetime | None = None

    @property
    def final(self) -> bool:
        """True if its status does not change any more by itself."""
        return self.status in FINAL


@dataclass(frozen=True, kw_only=True)
class Attempt(Model):
    """One try to hand a notification to its provider."""

    number: int
    outcome: str
    started_at: datetime
    finished_at: datetime
    provider: str | None = None
    phase: str | None = None
    reply_code: int | None = None
    enhanced_code: str | None = None
    text: str | None = None
    provider_message_id: str | None = None
    report_id: int | None = None


@dataclass(frozen=True, kw_only=True)
class Event(Model):
    """One line of a notification's timeline."""

    event: str
    at: datetime
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Limit(Model):
    """One limit and what is left of it; `limit` is None if there is none, `window` is in seconds."""

    limit: int | None = None
    used: int | None = None
    remaining: int | None = None
    window: int | None = None


@dataclass(frozen=True, kw_only=True)
class Limits(Model):
    """Limits of the client that the key belongs to, with what is used."""

    rate: Limit
    daily: Limit
    pending: Limit


@dataclass(frozen=True, kw_only=True)
class Change(Model):
    """One event of a stream.

    `event` is `ready`, `lost` or `end`, or the name of a change. `resume_from` continues the stream after it.
    """

    event: str
    resume_from: str | None = None
    notification: Notification | None = None
    at: datetime | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
