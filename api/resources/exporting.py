"""Export as lines of JSON (NDJSON), one page at a time, for the API and the command line.

Each line is {"kind": ..., "cursor": ..., "data": ...}. An interrupted export resumes after the cursor of the last
complete line. A complete export ends with the line {"kind": "end", "count": ...}.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, NamedTuple

import orjson

from actors.channels.email.domains.records import Envelope
from api.http import pagination
from api.http.answers import shown
from api.http.pagination import Wrong
from api.resources import documents
from api.resources.representation import notification
from db import exports
from db.exports import Row, Wanted

ROWS = 200  # that are read at a time
MEDIA = "application/x-ndjson"
# For clients that read only texts, such as browsers and some generated clients.
TEXT = "text/plain; charset=utf-8"


class Place(NamedTuple):
    """Position before a page: a kind, and the key of the row `after` which it begins ("": at the first row)."""

    kind: str
    after: str = ""


class Page(NamedTuple):
    """Lines of an export, their number, and the position of the next page; None after the last one."""

    lines: bytes
    rows: int
    next_place: Place | None


def first(wanted: Wanted) -> Place:
    """Return the position at which an export begins."""
    return Place(exports.kinds(wanted)[0])


def place(cursor: str, wanted: Wanted) -> Place:
    """Return the position after the line with this cursor; raise Wrong."""
    kind, _, after = pagination.decoded(cursor).partition(" ")
    if kind not in exports.kinds(wanted) or not after or "\0" in after:
        raise Wrong(pagination.NOT_OURS)
    return Place(kind, after)


def page(wanted: Wanted, at: Place) -> Page:
    """Return up to ROWS lines, or one line if it may contain files; raise Wrong for an invalid position."""
    limit = 1 if wanted.attachments and at.kind == "notification" else ROWS
    try:
        found = exports.page(wanted, at.kind, at.after, limit)
    except ValueError:
        raise Wrong(pagination.NOT_OURS) from None
    lines = b"".join(_line(at.kind, behind, row) for behind, row in found)
    return Page(lines, len(found), _next_place(wanted, at, found))


def end(count: int) -> bytes:
    """Return the last line, which shows that the export is complete."""
    return orjson.dumps({"kind": "end", "count": count}) + b"\n"


def _next_place(wanted: Wanted, at: Place, found: exports.Found) -> Place | None:
    if found:
        return Place(at.kind, found[-1][0])
    order = exports.kinds(wanted)
    behind = order[order.index(at.kind) + 1 :]
    return Place(behind[0]) if behind else None


def _line(kind: str, behind: str, row: Row) -> bytes:
    line = {"kind": kind, "cursor": pagination.encoded(f"{kind} {behind}"), "data": _SHOWN[kind](row)}
    return orjson.dumps(line, option=orjson.OPT_UTC_Z) + b"\n"


def _notification(row: Row) -> dict[str, Any]:
    whole = notification(row["notification"])
    for file, content in zip(whole.get("attachments", ()), row["contents"] or (), strict=False):
        file["content"] = base64.b64encode(content).decode()
    events = [{**event, "detail": shown(event["detail"])} for event in row["events"]]
    return {**whole, "attempts": [shown(attempt) for attempt in row["attempts"]], "events": events}


_SHOWN: dict[str, Callable[[Row], dict[str, Any]]] = {
    "client": shown,
    "key": shown,
    "callback": documents.endpoint,
    "destination": documents.destination,
    "domain": lambda row: documents.domain(row["known"], Envelope()),
    "suppression": documents.suppression,
    "template": documents.template,
    "audit": documents.act,
    "notification": _notification,
}
