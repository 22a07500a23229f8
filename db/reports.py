"""Reads: one notification, its attempts, and the list. Call within `connection()`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from peewee import SQL, Field, NodeList, Select, Tuple, Value, fn

from db.client_view import VIEW, select
from db.database import IN_ORDER, database, rows
from db.models import FINAL, Attempt, Notification

N = Notification
_HEAD = (N.id, N.type, N.recipient, N.subject)
_STATE = (
    *(N.on_uncertain, N.sandbox, N.lane, N.send_at, N.expires_at),
    *(N.template, N.template_version),
    *(
        fn.COALESCE(N.tags, SQL("'[]'::jsonb")).alias("tags"),
        fn.COALESCE(N.metadata, SQL("'{}'::jsonb")).alias("metadata"),
    ),
    *(N.status, N.attempt_count, N.retry_count, N.last_error, N.failure_reason),
    *(N.created_at, N.next_attempt_at, N.finished_at, N.erased_at),
)
_ATTEMPT = (
    *(Attempt.number, Attempt.outcome, Attempt.started_at, Attempt.finished_at, Attempt.worker),
    *(Attempt.provider, Attempt.phase, Attempt.reply_code, Attempt.enhanced_code, Attempt.text),
)

Row = dict[str, Any]
Run = Callable[[Any], list[Row]]
# Notifications that one statement looks at for a filter that no index serves.
FEW, LOOKED_AT = 500, 10_000


class Position(NamedTuple):
    """Where a page of the list ended."""

    created_at: datetime
    id: int


def notification(id: int, client: int) -> Row | None:
    """One notification of a client with its message, or None. A callback is none of its notifications."""
    found = dicts(_whole().where(N.id == id, N.client_id == client))
    return found[0] if found else None


def notifications(ids: Sequence[int]) -> list[Row]:
    """These notifications with their messages, in any order. The caller knows whose they are."""
    return dicts(_whole().where(N.id.in_(ids)))


def finished(ids: Sequence[int]) -> list[int]:
    """Which of these have come to their end."""
    found = rows(f"SELECT id FROM {VIEW} AS n WHERE id = ANY(%s) AND status = ANY(%s)", list(ids), list(FINAL))
    return [id for (id,) in found]


def attempts(id: int, client: int) -> list[Row]:
    """Every attempt of a notification of a client, first to last."""
    return attempts_of(select(N.id).where(N.id == id, N.client_id == client))


class Page(NamedTuple):
    """Rows of a list, and the position from which the next page goes on; None: there is none."""

    rows: list[Row]
    after: Position | None


def newest(client: int, filters: Mapping[str, Any], after: Position | None, limit: int) -> Page:
    """Up to `limit` notifications of a client without their messages, newest first, that came before `after`.

    `filters`: status, type, recipient, lane, sandbox, created_from (inclusive), created_to (exclusive), tags (all
    of them), metadata (all of these entries). A page costs the same wherever it is: it begins at its place
    in an index; but what is found by rare tags or metadata is found first and sorted then. For a filter that no
    index serves, the next LOOKED_AT notifications are looked at: a page may then have few rows, or none, and
    still be followed by another.
    """
    wide = [name for name, value in filters.items() if name in _WIDE and _WIDE[name](value)]
    owned = select(*_HEAD, *_STATE).where(N.client_id == client)
    owned = owned.order_by(N.created_at.desc(), N.id.desc())
    for name in filters.keys() - wide:
        owned = owned.where(_CONDITIONS[name](filters[name]))
    if after is not None:
        owned = owned.where(Tuple(N.created_at, N.id) < Tuple(after.created_at, after.id))
    # What is found by tags or metadata has no order yet.
    run = dicts if filters.keys() & {"tags", "metadata"} else _in_order
    found = (
        _among_first(owned, {name: filters[name] for name in wide}, limit + 1, run)
        if wide
        else run(owned.limit(limit + 1))
    )
    if len(found) > limit:
        return Page(found[:limit], Position(found[limit - 1]["created_at"], found[limit - 1]["id"]))
    return Page(found, _last_looked_at(owned, run) if wide else None)


def _among_first(owned: Any, filters: Mapping[str, Any], limit: int, run: Run) -> list[Row]:
    """Up to `limit` of the first LOOKED_AT rows that the filters are true of; most often a few are enough."""
    found = run(_filtered(owned, filters, limit, FEW))
    return found if len(found) == limit else run(_filtered(owned, filters, limit, LOOKED_AT))


def _filtered(owned: Any, filters: Mapping[str, Any], limit: int, looked_at: int) -> Any:
    first = owned.limit(looked_at).alias("first")
    columns = first.c
    query = Select([first], [SQL("*")])
    for name, value in filters.items():
        query = query.where(getattr(columns, name) == value)
    return query.order_by(columns.created_at.desc(), columns.id.desc()).limit(limit).bind(database)


def _last_looked_at(owned: Any, run: Run) -> Position | None:
    found = run(owned.select(N.created_at, N.id).offset(LOOKED_AT - 1).limit(1))
    return Position(found[0]["created_at"], found[0]["id"]) if found else None


def answers() -> None:
    """Raise Unavailable unless the database answers."""
    rows("SELECT 1")


def _whole() -> Any:
    return select(*_HEAD, N.message, N.html, *_STATE, N.mail)


def attempts_of(owned: Any) -> list[Row]:
    """Return every attempt of the notification whose id this query of Peewee's finds, first to last."""
    return dicts(Attempt.select(*_ATTEMPT).where(Attempt.notification_id == owned).order_by(Attempt.number))


def dicts(query: Any) -> list[Row]:
    """Run a query of Peewee's; each row by the names of its columns."""
    return list(query.dicts())


def _in_order(query: Any) -> list[Row]:
    sql, values = query.sql()
    cursor = database.execute_sql(IN_ORDER + sql, values)
    names = [column.name for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def _holds(column: Field, value: object) -> Any:
    """jsonb contains jsonb."""
    return NodeList((column, SQL("@>"), Value(json.dumps(value), converter=False), SQL("::jsonb")))


# Filters that no index serves, for these values: what they rule out may be all of a client's notifications.
_WIDE: dict[str, Callable[[Any], bool]] = {
    "type": lambda value: True,
    "sandbox": lambda value: True,
    "lane": lambda value: bool(value == "normal"),
    "status": lambda value: bool(value == "sent"),
}
_CONDITIONS = {
    "status": lambda value: N.status == value,
    "type": lambda value: N.type == value,
    "recipient": lambda value: N.recipient == value,
    "sandbox": lambda value: N.sandbox == value,
    "lane": lambda value: N.lane == value,
    "created_from": lambda value: N.created_at >= value,
    "created_to": lambda value: N.created_at < value,
    "tags": lambda value: _holds(N.tags, value),
    "metadata": lambda value: _holds(N.metadata, value),
}
