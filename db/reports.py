"""Read one notification, its attempts, and the list. Call within `connection()`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any, NamedTuple

from peewee import SQL, Case, Select, Tuple, fn

from db.client_view import VIEW, select
from db.database import IN_ORDER, database, rows
from db.filters import AMONG, CONDITIONS, PRIORITY, SORTED, WIDE, is_to
from db.models import FINAL, Attempt, Notification

N = Notification
_HEAD = (N.id, N.type, N.recipient, N.subject)
_STATE = (
    *(N.on_uncertain, N.failover, N.sandbox, PRIORITY.alias("priority"), N.send_at, N.expires_at),
    *(N.template, N.template_version),
    *(
        fn.COALESCE(N.tags, SQL("'[]'::jsonb")).alias("tags"),
        fn.COALESCE(N.metadata, SQL("'{}'::jsonb")).alias("metadata"),
    ),
    *(N.status, N.attempt_count, N.retry_count, N.last_error, N.failure_reason),
    Case(None, [(N.status == "sent", fn.COALESCE(N.delivery_status, "unconfirmed"))]).alias("delivery_status"),
    *(N.created_at, N.next_attempt_at, N.finished_at, N.erased_at),
)
_ATTEMPT = (
    *(Attempt.number, Attempt.outcome, Attempt.started_at, Attempt.finished_at, Attempt.worker),
    *(Attempt.provider, Attempt.phase, Attempt.reply_code, Attempt.enhanced_code, Attempt.text),
    *(Attempt.provider_message_id, Attempt.report_id),
)

# The event that decided the delivery status.
_PROOF = """(SELECT json_build_object(
        'kind', e.kind, 'class', e.bounce_class, 'code', e.code, 'text', e.text, 'recipient', e.recipient,
        'source', e.source, 'at', rfc3339(coalesce(e.happened_at, e.received_at)))
    FROM evidence AS e WHERE e.notification_id = "t1"."id" AND e.state = 'applied' AND NOT e.about_copy
    ORDER BY array_position(ARRAY['delayed', 'delivered', 'bounced', 'complained'], e.kind) DESC NULLS LAST,
             e.applied_at LIMIT 1)"""

Row = dict[str, Any]
Run = Callable[[Any], list[Row]]
# Notifications that one statement looks at for a filter without an index.
FEW, LOOKED_AT = 500, 10_000


class Position(NamedTuple):
    """The place where a page of the list ended."""

    created_at: datetime
    id: int


def notification(id: int, client: int) -> Row | None:
    """Return a notification of a client with its message, or None. Callbacks are never returned."""
    found = dicts(_whole().where(N.id == id, N.client_id == client))
    return found[0] if found else None


def notifications(ids: Sequence[int]) -> list[Row]:
    """Return these notifications with their messages, in any order.

    The caller must have checked that they belong to the client.
    """
    return dicts(_whole().where(N.id.in_(ids)))


def finished(ids: Sequence[int]) -> list[int]:
    """Return the ids of those that are final."""
    found = rows(f"SELECT id FROM {VIEW} AS n WHERE id = ANY(%s) AND status = ANY(%s)", list(ids), list(FINAL))
    return [id for (id,) in found]


def attempts(id: int, client: int) -> list[Row]:
    """Return every attempt of a notification of a client, first to last."""
    return attempts_of(select(N.id).where(N.id == id, N.client_id == client))


class Page(NamedTuple):
    """Rows of a list, and the position after which the next page starts; None: this is the last page."""

    rows: list[Row]
    after: Position | None


def newest(client: int, filters: Mapping[str, Any], after: Position | None, limit: int) -> Page:
    """Return up to `limit` notifications of a client without their messages, newest first, from behind `after`.

    `filters`: status, type, recipient, priority, sandbox, created_from (inclusive), created_to (exclusive), tags (all
    of them), delivery_status, metadata (all of these entries), and those of db/search.py: written, mailbox, domain,
    template, failure_reason, and those of AMONG. Every page costs the same, because it begins at its place in an
    index. Matches of rare tags or metadata are found first and then sorted. For a filter without an index, a page looks
    at the next LOOKED_AT notifications; it may then have few rows, or none, and still be followed by another page.

    `recipient` is in the form for comparison. It matches the main recipient however the address was written; those that
    were written differently are found first and then sorted.
    """
    if "recipient" not in filters:
        return _page(client, filters, after, limit)
    others = {name: value for name, value in filters.items() if name != "recipient"} | {
        "written_differently": filters["recipient"]
    }
    return merged([_page(client, filters, after, limit), _page(client, others, after, limit)], limit)


def among(client: int, ids: Sequence[int], filters: Mapping[str, Any]) -> list[Row]:
    """Return those of these few notifications that are a client's and match `filters`, the highest ids first.

    `filters` are those of `newest` for the API.
    """
    if not ids:
        return []
    owned = select(*_HEAD, *_STATE).where(N.client_id == client, N.id.in_(list(ids)))
    wide = _wide(filters)
    for name in filters.keys() - wide:
        owned = owned.where(is_to(filters[name]) if name == "recipient" else CONDITIONS[name](filters[name]))
    found = dicts(_filtered(owned, {name: filters[name] for name in wide}, len(ids), len(ids)))
    return sorted(found, key=itemgetter("id"), reverse=True)


def merged(pages: Sequence[Page], limit: int) -> Page:
    """Return the page of several lists together. What is older than the end of one of them is left to the next page."""
    horizon = max((page.after for page in pages if page.after is not None), default=None)
    rows = {row["id"]: row for page in pages for row in page.rows if horizon is None or _position(row) >= horizon}
    found = sorted(rows.values(), key=_position, reverse=True)
    return Page(found[:limit], _position(found[limit - 1]) if len(found) > limit else horizon)


def _position(row: Row) -> Position:
    return Position(row["created_at"], row["id"])


def _page(client: int, filters: Mapping[str, Any], after: Position | None, limit: int) -> Page:
    wide = _wide(filters)
    owned = select(*_HEAD, *_STATE).where(N.client_id == client)
    owned = owned.order_by(N.created_at.desc(), N.id.desc())
    for name in filters.keys() - wide:
        owned = owned.where(CONDITIONS[name](filters[name]))
    if after is not None:
        owned = owned.where(Tuple(N.created_at, N.id) < Tuple(after.created_at, after.id))
    run = dicts if filters.keys() & SORTED else _in_order
    found = (
        _among_first(owned, {name: filters[name] for name in wide}, limit + 1, run)
        if wide
        else run(owned.limit(limit + 1))
    )
    if len(found) > limit:
        return Page(found[:limit], _position(found[limit - 1]))
    return Page(found, _last_looked_at(owned, run) if wide else None)


def _wide(filters: Mapping[str, Any]) -> list[str]:
    return [name for name, value in filters.items() if name in WIDE and WIDE[name](value)]


def _among_first(owned: Any, filters: Mapping[str, Any], limit: int, run: Run) -> list[Row]:
    """Return up to `limit` matches among the first LOOKED_AT rows. Usually the first FEW rows are enough."""
    found = run(_filtered(owned, filters, limit, FEW))
    return found if len(found) == limit else run(_filtered(owned, filters, limit, LOOKED_AT))


def _filtered(owned: Any, filters: Mapping[str, Any], limit: int, looked_at: int) -> Any:
    first = owned.limit(looked_at).alias("first")
    columns = first.c
    query = Select([first], [SQL("*")])
    for name, value in filters.items():
        query = query.where(AMONG[name](columns, value) if name in AMONG else getattr(columns, name) == value)
    return query.order_by(columns.created_at.desc(), columns.id.desc()).limit(limit).bind(database)


def _last_looked_at(owned: Any, run: Run) -> Position | None:
    found = run(owned.select(N.created_at, N.id).offset(LOOKED_AT - 1).limit(1))
    return Position(found[0]["created_at"], found[0]["id"]) if found else None


def answers() -> None:
    """Raise Unavailable unless the database answers."""
    rows("SELECT 1")


def _whole() -> Any:
    return select(*_HEAD, N.message, N.html, *_STATE, N.mail, SQL(_PROOF).alias("delivery_evidence"))


def attempts_of(owned: Any) -> list[Row]:
    """Return every attempt of the notification whose id this query of Peewee's finds, first to last."""
    return dicts(Attempt.select(*_ATTEMPT).where(Attempt.notification_id == owned).order_by(Attempt.number))


def dicts(query: Any) -> list[Row]:
    """Run a Peewee query and return its rows as dictionaries."""
    return list(query.dicts())


def _in_order(query: Any) -> list[Row]:
    sql, values = query.sql()
    cursor = database.execute_sql(IN_ORDER + sql, values)
    names = [column.name for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]
