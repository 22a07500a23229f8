"""Notifications as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from api import mails
from api.answers import shown
from db.records import Accepted, Draft

KIND = "notification"
_OURS = ("client_id", "mail", "mailboxes", "contents", "template_version")


def summary(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as it stands in a list; `mail` is for `notification` to show."""
    fields = shown({name: value for name, value in row.items() if name not in _OURS})
    version = row["template_version"]
    return {**fields, "template": None if version is None else {"name": row["template"], "version": version}}


def notification(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with all that its mail has."""
    return summary(row) | _mail(row["id"], row["mail"])


def just_accepted(accepted: Accepted, draft: Draft) -> dict[str, Any]:
    """What GET would show at the moment it was accepted, without asking."""
    tags, metadata = orjson.loads(draft.tags or "[]"), orjson.loads(draft.metadata or "{}")
    failed = accepted.failure_reason is not None
    due = draft.send_at if draft.waits(accepted.created_at) else accepted.created_at
    return {
        "id": accepted.id,
        **summary(draft._asdict() | {"tags": tags, "metadata": metadata}),
        "status": "failed" if failed else "pending",
        "attemptCount": 0,
        "retryCount": 0,
        "lastError": accepted.last_error,
        "failureReason": accepted.failure_reason,
        "createdAt": accepted.created_at,
        "nextAttemptAt": None if failed else due,
        "finishedAt": accepted.created_at if failed else None,
        **_mail(accepted.id, orjson.loads(draft.mail) if draft.mail else None),
    }


def _mail(id: int, mail: Mapping[str, Any] | None) -> dict[str, Any]:
    """What its mail has; of each file also where its content is."""
    fields = mails.shown(mail)
    place = f"/api/notifications/{id}/attachments"
    return {**fields, "attachments": [f | {"url": f"{place}/{n}"} for n, f in enumerate(fields["attachments"], 1)]}
