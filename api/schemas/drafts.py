"""Makes drafts of notifications from checked documents."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from actors.channels.contract import Content
from actors.queue.priorities import queue_name
from api.access.auth import Caller
from api.http.times import moment
from db.records import Draft


def draft(document: Mapping[str, Any], caller: Caller, content: Content) -> Draft:
    """Return the draft of a document without faults, whose template is rendered, and of its content."""
    template = document.get("template", {})
    return Draft(
        document["type"],
        content.recipient,
        content.subject,
        content.message,
        content.html,
        document.get("onUncertain", "resend"),
        client_id=caller.client_id,
        sandbox=caller.sandbox,
        queue=queue_name(document["type"], document.get("priority", "normal")),
        send_at=time_of(document.get("sendAt")),
        expires_at=time_of(document.get("expiresAt")),
        mail=None if content.options is None else orjson.dumps(content.options).decode(),
        template=template.get("name"),
        template_version=template.get("version"),
        mailboxes=_json(content.addresses),
        tags=_json(document.get("tags")),
        metadata=_json(_ordered(document["metadata"])) if "metadata" in document else None,
        key_id=caller.key_id,
        failover=document.get("failover", "safe"),
        contents=content.attachments,
    )


def _json(value: Any) -> str | None:
    """Return a value for a jsonb column; an empty one becomes NULL, which takes no space in an index."""
    return orjson.dumps(value).decode() if value else None


def _ordered(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return metadata in the order in which jsonb keeps keys, so that every answer shows the same order."""
    return dict(sorted(metadata.items(), key=lambda entry: (len(entry[0]), entry[0])))


def time_faults(send_at: datetime | None, expires_at: datetime | None, now: datetime) -> list[dict[str, str]]:
    """Return the faults that these times have at the time `now`."""
    if expires_at is None:
        return []
    if expires_at <= now:
        return [{"pointer": "/expiresAt", "detail": "must be in the future"}]
    if send_at is not None and expires_at <= send_at:
        return [{"pointer": "/expiresAt", "detail": "must be after sendAt"}]
    return []


def time_of(raw: str | None) -> datetime | None:
    """Return a time of a document in UTC, None for None."""
    return None if raw is None else moment(raw)
