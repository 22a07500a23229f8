"""Makes drafts of notifications from checked documents."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from actors.channels.email.addresses import normalised
from actors.channels.email.mailboxes import split
from api.access.auth import Caller
from api.http.times import moment
from api.schemas.mails import Extras
from db.records import Draft

DEFAULT_SUBJECT = "Notification"


def draft(document: Mapping[str, Any], caller: Caller, extras: Extras) -> Draft:
    """Return the draft of a document without faults, whose template is rendered, and of its mail fields."""
    template = document.get("template", {})
    return Draft(
        document["type"],
        document["recipient"],
        document.get("subject", DEFAULT_SUBJECT),
        document["message"],
        document.get("html"),
        document.get("onUncertain", "resend"),
        client_id=caller.client_id,
        sandbox=caller.sandbox,
        priority=document.get("priority", "normal"),
        send_at=time_of(document.get("sendAt")),
        expires_at=time_of(document.get("expiresAt")),
        mail=extras.mail,
        template=template.get("name"),
        template_version=template.get("version"),
        mailboxes=_mailboxes(document),
        tags=_json(document.get("tags")),
        metadata=_json(_ordered(document["metadata"])) if "metadata" in document else None,
        key_id=caller.key_id,
        failover=document.get("failover", "safe"),
        contents=extras.contents,
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


def _mailboxes(document: Mapping[str, Any]) -> str | None:
    """Return all recipients in the suppression list's form as JSON; None if that is the recipient as written."""
    recipient = normalised(document["recipient"])
    copies = [normalised(split(text)[1]) for name in ("cc", "bcc") for text in document.get(name, ())]
    if not copies and recipient == document["recipient"]:
        return None
    return orjson.dumps([recipient, *copies]).decode()


def time_of(raw: str | None) -> datetime | None:
    """Return a time of a document in UTC, None for None."""
    return None if raw is None else moment(raw)
