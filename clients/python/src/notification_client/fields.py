"""The fields of a new notification, and their form in JSON."""

from __future__ import annotations

import mimetypes
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Required, Self, TypedDict

from notification_client.decoding import camel

BINARY = "application/octet-stream"


@dataclass(frozen=True)
class Attachment:
    """A file to send. With `content_id`, HTML shows it as `cid:...`."""

    filename: str
    content: bytes
    content_type: str = BINARY
    content_id: str | None = None

    @classmethod
    def of(cls, path: str | Path, content_id: str | None = None) -> Self:
        """Return the file at `path`; its type follows from its name."""
        file = Path(path)
        return cls(file.name, file.read_bytes(), mimetypes.guess_type(file.name)[0] or BINARY, content_id)


class NewNotification(TypedDict, total=False):
    """The fields of `POST /api/notifications`, in snake_case. `sender` is the API's `from`."""

    type: Required[str]
    recipient: Required[str]
    subject: str | None
    message: str | None
    html: str | None
    template: str | Mapping[str, Any] | None
    variables: Mapping[str, Any] | None
    sender: str | None
    reply_to: str | None
    recipient_name: str | None
    cc: Sequence[str] | None
    bcc: Sequence[str] | None
    headers: Mapping[str, str] | None
    attachments: Sequence[Attachment] | None
    unsubscribe: Literal[True] | Mapping[str, str] | None
    max_segments: int | None
    data: Mapping[str, Any] | None
    event: str | None
    payload: Any
    priority: Literal["high", "normal", "bulk"] | None
    send_at: datetime | str | None
    expires_at: datetime | str | None
    on_uncertain: Literal["resend", "hold"] | None
    failover: Literal["safe", "always"] | None
    tags: Sequence[str] | None
    metadata: Mapping[str, str] | None
    keys: Mapping[str, str] | None
    badge: int | None
    sound: str | None
    url: str | None
    registered_at: datetime | str | None
    idempotency_key: str | None


class Filters(TypedDict, total=False):
    """Filters of the list of notifications; all that are given must match."""

    status: str | None
    delivery_status: str | None
    type: str | None
    recipient: str | None
    priority: str | None
    sandbox: bool | None
    tag: str | Sequence[str] | None
    metadata: Mapping[str, str] | None
    created_from: datetime | str | None
    created_to: datetime | str | None


class FailedFilters(TypedDict, total=False):
    """Filters of the failed notifications to retry; all that are given must match."""

    failure_reason: str | None
    last_outcome: str | None
    type: str | None
    recipient: str | None
    priority: str | None
    tag: str | None
    created_from: datetime | str | None
    created_to: datetime | str | None


def document(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields as a JSON object. Those that are None are left out.

    Raises ValueError for a time without a time zone.
    """
    return {camel(name): _value(name, value) for name, value in given.items() if value is not None}


def query(filters: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return filters as parameters of a URL."""
    pairs: list[tuple[str, str]] = []
    for name, value in filters.items():
        if name == "metadata" and value is not None:
            pairs += [(f"metadata.{key}", str(text)) for key, text in value.items()]
        elif isinstance(value, list | tuple):
            pairs += [(camel(name), str(one)) for one in value]
        elif isinstance(value, bool):
            pairs.append((camel(name), str(value).lower()))
        elif value is not None:
            pairs.append((camel(name), str(_value(name, value))))
    return pairs


def _value(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            raise ValueError(f"{name} has no time zone: give an aware datetime, such as datetime.now(UTC)")
        return value.isoformat()
    if name == "attachments":
        return [_file(file) if isinstance(file, Attachment) else file for file in value]
    return value


def _file(file: Attachment) -> dict[str, str]:
    shown = {"filename": file.filename, "contentType": file.content_type, "content": b64encode(file.content).decode()}
    return shown if file.content_id is None else shown | {"contentId": file.content_id}
