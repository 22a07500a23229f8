"""From a checked document to what is stored."""

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
    """A document that its schema has no fault with, and what else it asks for; with the texts of its template."""
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
        lane=document.get("priority", "normal"),
        send_at=time_of(document.get("sendAt")),
        expires_at=time_of(document.get("expiresAt")),
        mail=extras.mail,
        template=template.get("name"),
        template_version=template.get("version"),
        mailboxes=_mailboxes(document),
        tags=_json(document.get("tags")),
        metadata=_json(_ordered(document["metadata"])) if "metadata" in document else None,
        key_id=caller.key_id,
        contents=extras.contents,
    )


def _json(value: Any) -> str | None:
    """For a jsonb column; what is empty is stored as nothing at all, and indexed nowhere."""
    return orjson.dumps(value).decode() if value else None


def _ordered(metadata: Mapping[str, str]) -> dict[str, str]:
    """As jsonb orders its keys, so that every answer shows it alike."""
    return dict(sorted(metadata.items(), key=lambda entry: (len(entry[0]), entry[0])))


def time_faults(send_at: datetime | None, expires_at: datetime | None, now: datetime) -> list[dict[str, str]]:
    """What is wrong with these times at this moment."""
    if expires_at is None:
        return []
    if expires_at <= now:
        return [{"pointer": "/expiresAt", "detail": "must be in the future"}]
    if send_at is not None and expires_at <= send_at:
        return [{"pointer": "/expiresAt", "detail": "must be after sendAt"}]
    return []


def _mailboxes(document: Mapping[str, Any]) -> str | None:
    """Who gets it, as the suppression list has them; None where that is what the recipient is written as."""
    recipient = normalised(document["recipient"])
    copies = [normalised(split(text)[1]) for name in ("cc", "bcc") for text in document.get(name, ())]
    if not copies and recipient == document["recipient"]:
        return None
    return orjson.dumps([recipient, *copies]).decode()


def time_of(raw: str | None) -> datetime | None:
    """The time that a document gives, if any."""
    return None if raw is None else moment(raw)
