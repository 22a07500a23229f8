"""The filters of the list as SQL: those that an index serves, and those that a page looks for among its rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import reduce
from operator import and_
from typing import Any

from peewee import SQL, Field, NodeList, Value, fn

from db.client_view import VIEW
from db.models import Notification

N = Notification
# The expression of the index notifications_of_priority.
PRIORITY = fn.split_part(N.queue, SQL("'.'"), SQL("-1"))
# The expression of the index notifications_domain.
DOMAIN = "lower(split_part(recipient, '@', -1) COLLATE \"C\")"


def _holds(column: Field, value: object) -> Any:
    """Return the condition that the column contains `value` (jsonb @> jsonb)."""
    return NodeList((column, SQL("@>"), Value(json.dumps(value), converter=False), SQL("::jsonb")))


def _has_words(columns: Any, words: Sequence[str]) -> Any:
    """Return the condition that the subject contains each of these lower-case words in any case."""
    return reduce(and_, (fn.strpos(fn.lower(columns.subject), word) > 0 for word in words))


def _ends_at(columns: Any, domain: str) -> Any:
    return fn.lower(fn.right(columns.recipient, len(domain) + 1)) == f"@{domain}"


def is_to(recipient: str) -> Any:
    """Return the condition that the main recipient is this one, which is in the form for comparison."""
    return (N.recipient == recipient) | SQL("mailboxes ->> 0 = %s", [recipient])


# Filters without an index that are not equality with a column.
AMONG: dict[str, Callable[[Any, Any], Any]] = {
    "words": _has_words,
    "domain_among": _ends_at,
    "template_among": lambda columns, value: columns.template == value,
    "tags_among": lambda columns, value: _holds(columns.tags, value),
    "metadata_among": lambda columns, value: _holds(columns.metadata, value),
}
# Filters without an index, for these values: they may exclude all of a client's notifications.
WIDE: dict[str, Callable[[Any], bool]] = {
    "type": lambda value: True,
    "sandbox": lambda value: True,
    "priority": lambda value: bool(value == "normal"),
    "status": lambda value: bool(value == "sent"),
    "delivery_status": lambda value: value not in ("bounced", "complained"),
    **{name: lambda value: True for name in AMONG},
}
# An array is looked up id by id. With old statistics, PostgreSQL would also read a client's whole list for a join.
_WRITTEN_DIFFERENTLY = f"""id = ANY(ARRAY(SELECT m.id FROM {VIEW} AS m
    WHERE m.mailboxes @> %s::jsonb AND m.mailboxes ->> 0 = %s AND m.recipient <> %s))"""
# Filters with an index in no order: what it finds must be sorted.
SORTED = {"tags", "metadata", "mailbox", "written_differently"}
CONDITIONS: dict[str, Callable[[Any], Any]] = {
    "status": lambda value: N.status == value,
    "type": lambda value: N.type == value,
    "recipient": lambda value: N.recipient == value,
    "written": lambda value: N.recipient == value,
    "written_differently": lambda value: SQL(_WRITTEN_DIFFERENTLY, [json.dumps([value]), value, value]),
    "mailbox": lambda value: _holds(N.mailboxes, [value]),
    # For `domain` and `template`: final ones, which the index has.
    "domain": lambda value: SQL(f"finished_at IS NOT NULL AND {DOMAIN} = %s", [value]),
    "template": lambda value: SQL("finished_at IS NOT NULL AND template = %s", [value]),
    "failure_reason": lambda value: N.failure_reason == value,
    "sandbox": lambda value: N.sandbox == value,
    "priority": lambda value: SQL("%s", [value]) == PRIORITY,
    "delivery_status": lambda value: N.delivery_status == value,
    "created_from": lambda value: N.created_at >= value,
    "created_to": lambda value: N.created_at < value,
    "tags": lambda value: _holds(N.tags, value),
    "metadata": lambda value: _holds(N.metadata, value),
}
