"""Reads: one notification, its attempts, and the list. Call within `connection()`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from peewee import Tuple

from db.database import rows
from db.models import Attempt, Notification

N = Notification
_HEAD = (N.id, N.type, N.recipient, N.subject)
_STATE = (
    *(N.on_uncertain, N.sandbox, N.lane, N.send_at, N.expires_at),
    *(N.template, N.template_version),
    *(N.status, N.attempt_count, N.retry_count, N.last_error, N.failure_reason),
    *(N.created_at, N.next_attempt_at, N.finished_at),
)
_ATTEMPT = (
    *(Attempt.number, Attempt.outcome, Attempt.started_at, Attempt.finished_at, Attempt.worker),
    *(Attempt.provider, Attempt.phase, Attempt.reply_code, Attempt.enhanced_code, Attempt.text),
)

Row = dict[str, Any]


class Position(NamedTuple):
    """Where a page of the list ended."""

    created_at: datetime
    id: int


def notification(id: int, client: int) -> Row | None:
    """One notification of a client with its message, or None."""
    found = _dicts(N.select(*_HEAD, N.message, N.html, *_STATE, N.mail).where(N.id == id, N.client_id == client))
    return found[0] if found else None


def attempts(id: int, client: int) -> list[Row]:
    """Every attempt of a notification of a client, first to last."""
    owned = N.select(N.id).where(N.id == id, N.client_id == client)
    return _dicts(Attempt.select(*_ATTEMPT).where(Attempt.notification_id == owned).order_by(Attempt.number))


def newest(client: int, filters: Mapping[str, Any], after: Position | None, limit: int) -> list[Row]:
    """Up to `limit` notifications of a client without their messages, newest first, that came before `after`.

    `filters`: status, type, recipient, created_from (inclusive), created_to (exclusive). A page
    costs the same wherever it is: it begins at its place in an index.
    """
    owned = N.select(*_HEAD, *_STATE).where(N.client_id == client)
    query = owned.order_by(N.created_at.desc(), N.id.desc()).limit(limit)
    for name, value in filters.items():
        query = query.where(_CONDITIONS[name](value))
    if after is not None:
        query = query.where(Tuple(N.created_at, N.id) < Tuple(after.created_at, after.id))
    return _dicts(query)


def answers() -> None:
    """Raise Unavailable unless the database answers."""
    rows("SELECT 1")


def _dicts(query: Any) -> list[Row]:
    return list(query.dicts())


_CONDITIONS = {
    "status": lambda value: N.status == value,
    "type": lambda value: N.type == value,
    "recipient": lambda value: N.recipient == value,
    "sandbox": lambda value: N.sandbox == value,
    "created_from": lambda value: N.created_at >= value,
    "created_to": lambda value: N.created_at < value,
}
