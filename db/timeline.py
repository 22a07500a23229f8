"""The timeline of a notification: events in order, from its row, its attempts and the acts of operators."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from psycopg2.extensions import ISOLATION_LEVEL_REPEATABLE_READ

from db.client_view import VIEW, select
from db.database import database, rows
from db.models import Notification
from db.reports import attempts, dicts

N = Notification
Row = dict[str, Any]

_LOST = "lost"
_TOLD_OF_ATTEMPTS = ("number", "outcome", "provider", "phase", "reply_code", "enhanced_code", "text")


class Story(NamedTuple):
    """The status of a notification and the events that led to it, each with `event` (its name), `at` and `detail`."""

    status: str
    events: list[Row]


def story(id: int, client_id: int) -> Story | None:
    """Return the timeline as of one moment, first to last; None for an unknown notification.

    Of events at the same time, an attempt comes before the end that it led to. Later events are only ever added at
    the end.
    """
    with database.atomic(isolation_level=ISOLATION_LEVEL_REPEATABLE_READ):
        return _story(id, client_id)


def events(id: int, client_id: int) -> list[Row] | None:
    """Return the events of the timeline; None for an unknown notification."""
    told = story(id, client_id)
    return None if told is None else told.events


def marks(ids: Iterable[int]) -> dict[int, str]:
    """Return a mark for each notification that differs after every change. Deleted notifications are left out."""
    return dict(rows(f"SELECT id, xmin::text FROM {VIEW} AS n WHERE id = ANY(%s)", list(ids)))


def _story(id: int, client_id: int) -> Story | None:
    known = select(N.status, N.created_at, N.finished_at, N.failure_reason, N.key_id)
    found = dicts(known.where(N.id == id, N.client_id == client_id))
    if not found:
        return None
    [row] = found
    return Story(row["status"], told(row, attempts(id, client_id), later([id]).get(id, [])))


def told(row: Row, attempted: Sequence[Row], later: Sequence[Row]) -> list[Row]:
    """Return the events of a timeline from the notification's row, its attempts and what came `later`."""
    with_key = {} if row.get("key_id") is None else {"key_id": row["key_id"]}
    happened = [_event("accepted", row["created_at"], **with_key), *map(_attempted, attempted), *_ending(row), *later]
    return sorted(happened, key=lambda event: event["at"])


def _event(name: str, at: datetime, **detail: object) -> Row:
    return {"event": name, "at": at, "detail": detail}


def _attempted(attempt: Row) -> Row:
    if attempt["outcome"] == _LOST:
        return _event("rescued", attempt["finished_at"], number=attempt["number"], text=attempt["text"])
    told = {name: attempt[name] for name in _TOLD_OF_ATTEMPTS}
    return _event("attempted", attempt["finished_at"], **told)


def later(ids: Sequence[int]) -> dict[int, list[Row]]:
    """Return what operators did to each notification, and what reports said about it."""
    acted, reported = acts(ids), reports_about(ids)
    return {id: acted.get(id, []) + reported.get(id, []) for id in {*acted, *reported}}


def reports_about(ids: Sequence[int]) -> dict[int, list[Row]]:
    """Return the events that reports told of each notification, at the times when they took effect."""
    found: defaultdict[int, list[Row]] = defaultdict(list)
    names = ("report", "source", "class", "code", "text", "recipient", "copy", "happened_at")
    for id, kind, at, *detail in rows(
        "SELECT notification_id, kind, applied_at, report_id, source, bounce_class, code, text, recipient, about_copy,"
        " rfc3339(happened_at) FROM evidence WHERE notification_id = ANY(%s) AND state = 'applied'"
        " ORDER BY applied_at, digest",
        list(ids),
    ):
        found[id].append(_event(kind, at, **dict(zip(names, detail, strict=True))))
    return found


def acts(ids: Sequence[int]) -> dict[int, list[Row]]:
    """Return what operators did to each notification.

    A retry ends a failure, and only the retry's event still has it: return that failure as an event of its own.
    """
    found: defaultdict[int, list[Row]] = defaultdict(list)
    for id, name, at, detail in rows(
        "SELECT notification_id, name, at, detail FROM events WHERE notification_id = ANY(%s) ORDER BY at, id",
        list(ids),
    ):
        failed_at, reason = detail.pop("failedAt", None), detail.pop("failureReason", None)
        if failed_at is not None:
            found[id].append(_event("failed", datetime.fromisoformat(failed_at), failure_reason=reason))
        found[id].append({"event": name, "at": at, "detail": detail})
    return found


def _ending(row: Row) -> list[Row]:
    if row["status"] == "failed":
        return [_event("failed", row["finished_at"], failure_reason=row["failure_reason"])]
    if row["status"] == "sent":
        return [_event("sent", row["finished_at"])]
    return []
