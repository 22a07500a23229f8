"""Notifications as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from api import mails
from api.answers import shown
from db.records import Accepted, Draft

KIND = "notification"
_OURS = ("client_id", "mail", "tags", "metadata", "contents")


def notification(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with all that its mail has."""
    return shown({name: value for name, value in row.items() if name != "mail"}) | mails.shown(row["mail"])


def just_accepted(accepted: Accepted, draft: Draft) -> dict[str, Any]:
    """What GET would show at the moment it was accepted, without asking."""
    return {
        "id": accepted.id,
        **shown({name: value for name, value in draft._asdict().items() if name not in _OURS}),
        "tags": orjson.loads(draft.tags or "[]"),
        "metadata": orjson.loads(draft.metadata or "{}"),
        "status": "pending",
        "attemptCount": 0,
        "retryCount": 0,
        "lastError": None,
        "failureReason": None,
        "createdAt": accepted.created_at,
        "nextAttemptAt": draft.send_at if draft.waits(accepted.created_at) else accepted.created_at,
        "finishedAt": None,
        **mails.shown(orjson.loads(draft.mail) if draft.mail else None),
    }
