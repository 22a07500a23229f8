"""Notifications as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Any

import orjson

import settings
from api.http.answers import shown
from api.schemas import mails
from db.records import Accepted, Draft

KIND = "notification"
_OURS = ("client_id", "mail", "mailboxes", "contents", "template_version", "trace", "key_id")


def summary(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of a list as JSON, without the fields of its mail."""
    fields = shown({name: value for name, value in row.items() if name not in _OURS})
    version = row["template_version"]
    return {**fields, "template": None if version is None else {"name": row["template"], "version": version}}


def notification(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as JSON, with its evidence and the fields of its mail."""
    fields = summary(row)
    proof = fields.pop("deliveryEvidence")
    return {**fields, "deliveryEvidence": proof, **_mail(row["id"], row["mail"])}


def just_accepted(accepted: Accepted, draft: Draft) -> dict[str, Any]:
    """Return what GET would show right after the notification was accepted, without reading it."""
    failed = accepted.failure_reason is not None
    due = draft.send_at if draft.waits(accepted.created_at) else accepted.created_at
    version = draft.template_version
    return {
        "id": accepted.id,
        **dict(zip(_NAMES, _values(draft), strict=True)),
        "template": None if version is None else {"name": draft.template, "version": version},
        "tags": orjson.loads(draft.tags) if draft.tags else [],
        "metadata": orjson.loads(draft.metadata) if draft.metadata else {},
        "status": "failed" if failed else "pending",
        "attemptCount": 0,
        "retryCount": 0,
        "lastError": accepted.last_error,
        "failureReason": accepted.failure_reason,
        "deliveryStatus": None,
        "createdAt": accepted.created_at,
        "nextAttemptAt": None if failed else due,
        "finishedAt": accepted.created_at if failed else None,
        "erasedAt": None,
        "deliveryEvidence": None,
        **_mail(accepted.id, orjson.loads(draft.mail) if draft.mail else None),
    }


def _mail(id: int, mail: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the fields of a mail, with the URL of each attachment's content."""
    fields = mails.shown(mail)
    if not fields["attachments"]:
        return fields
    place = f"{settings.load().public.path_prefix}/api/notifications/{id}/attachments"
    return {**fields, "attachments": [f | {"url": f"{place}/{n}"} for n, f in enumerate(fields["attachments"], 1)]}


# Fields of a draft that are shown unchanged; computed once, because each accepted notification needs them.
_SHOWN = [n for n in Draft._fields if n not in (*_OURS, "template", "tags", "metadata")]
_NAMES = list(shown(dict.fromkeys(_SHOWN)))
_values = attrgetter(*_SHOWN)
