"""Export all data of a client, page by page, each page in its own short transaction.

A page begins behind the place where the previous one ended, in an order that never changes. So a row appears once, and
no row is missed that existed at the beginning. Call within `connection()`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from db import audit, callbacks, clients, destinations, domains, keys, reports, suppressions, templates, timeline
from db.client_view import VIEW
from db.database import rows

Row = dict[str, Any]
Found = list[tuple[str, Row]]  # each row with its place


class Wanted(NamedTuple):
    """The client whose data to export. `recipient`: only what concerns this normalised address."""

    client_id: int
    recipient: str | None = None
    attachments: bool = False


def page(wanted: Wanted, kind: str, after: str, limit: int) -> Found:
    """Return up to `limit` rows of a kind from behind the place `after`, "" for the first page.

    Raises ValueError if `after` is not a place.
    """
    return _READERS[kind](wanted, after, limit)


def kinds(wanted: Wanted) -> tuple[str, ...]:
    """Return the kinds of rows to export, in order."""
    return ("suppression", "notification") if wanted.recipient else tuple(_READERS)


def _client(wanted: Wanted, after: str, _limit: int) -> Found:
    found = None if after else clients.one(wanted.client_id)
    return [(str(found.id), found._asdict())] if found else []


def _keys(wanted: Wanted, after: str, limit: int) -> Found:
    return [(str(key.id), key._asdict()) for key in keys.listed(wanted.client_id, int(after or 0), limit)]


def _callbacks(wanted: Wanted, after: str, _limit: int) -> Found:
    """Return all endpoints at once: there are at most CALLBACK_ENDPOINTS."""
    return [(str(row["id"]), row) for row in callbacks.listed(wanted.client_id) if row["id"] > int(after or 0)]


def _destinations(wanted: Wanted, after: str, limit: int) -> Found:
    return [(row["name"], row) for row in destinations.listed(wanted.client_id, after, limit)]


def _domains(wanted: Wanted, after: str, _limit: int) -> Found:
    """Return all domains at once, without their private keys: there are at most domains.MOST."""
    known = {one.domain.domain: one for one in domains.listed(wanted.client_id)}
    return [(name, {"known": known[name]}) for name in sorted(known) if name > after]  # in no database's collation


def _suppressions(wanted: Wanted, after: str, limit: int) -> Found:
    if wanted.recipient:
        one = None if after else suppressions.find(wanted.client_id, wanted.recipient)
        found = [one] if one else []
    else:
        found = suppressions.in_order(wanted.client_id, after, limit)
    return [(row["address"], row) for row in found]


def _templates(wanted: Wanted, after: str, limit: int) -> Found:
    name, _, version = after.partition(" ")
    found = templates.in_order(wanted.client_id, name, int(version or 0), limit)
    return [(f"{row['name']} {row['version']}", row) for row in found]


def _audit(wanted: Wanted, after: str, limit: int) -> Found:
    return [(str(row["id"]), row) for row in audit.rows_after(wanted.client_id, int(after or 0), limit)]


def _notifications(wanted: Wanted, after: str, limit: int) -> Found:
    when, _, last = after.partition(" ")
    begin = (datetime.fromisoformat(when), int(last)) if after else ("-infinity", 0)
    if wanted.recipient:
        places = rows(_TO_RECIPIENT, *_to_recipient(wanted, begin, limit))
    else:
        places = rows(f"{_PLACES} {_BEHIND}", wanted.client_id, *begin, limit)
    ids = [id for _, id in places]
    known = {row["id"]: row for row in reports.notifications(ids)}
    histories, acts = _attempts(ids), timeline.later(ids)
    found = []
    for at, id in places:
        # Retention may have just deleted it.
        if (row := known.get(id)) is not None:
            told = timeline.told(row, histories[id], acts.get(id, []))
            contents = _contents(id) if wanted.attachments else None
            whole = {"notification": row, "attempts": histories[id], "events": told, "contents": contents}
            found.append((f"{at.isoformat()} {id}", whole))
    return found


_PLACES = f"SELECT created_at, id FROM {VIEW} AS n WHERE client_id = %s"
_BEHIND = "AND (created_at, id) > (%s::timestamptz, %s) ORDER BY created_at, id LIMIT %s"
_TO_RECIPIENT = f"""({_PLACES} AND recipient = %s AND mailboxes IS NULL {_BEHIND})
    UNION ALL ({_PLACES} AND mailboxes @> jsonb_build_array(%s::text) {_BEHIND})
    ORDER BY created_at, id LIMIT %s"""


def _to_recipient(wanted: Wanted, begin: Sequence[object], limit: int) -> tuple[object, ...]:
    one = (wanted.client_id, wanted.recipient, *begin, limit)
    return *one, *one, limit


def _attempts(ids: Sequence[int]) -> dict[int, list[Row]]:
    names = ["number", "outcome", "started_at", "finished_at", "worker", "provider", "phase", "reply_code"]
    names += ["enhanced_code", "text", "provider_message_id", "report_id"]
    found = rows(
        f"SELECT notification_id, {', '.join(names)} FROM attempts WHERE notification_id = ANY(%s)"
        " ORDER BY notification_id, number",
        list(ids),
    )
    histories: defaultdict[int, list[Row]] = defaultdict(list)
    for id, *values in found:
        histories[id].append(dict(zip(names, values, strict=True)))
    return histories


def _contents(id: int) -> list[bytes]:
    found = rows("SELECT content FROM attachments WHERE notification_id = %s ORDER BY number", id)
    return [bytes(content) for (content,) in found]


_READERS: dict[str, Callable[[Wanted, str, int], Found]] = {
    "client": _client,
    "key": _keys,
    "callback": _callbacks,
    "destination": _destinations,
    "domain": _domains,
    "suppression": _suppressions,
    "template": _templates,
    "audit": _audit,
    "notification": _notifications,
}
