"""An export as lines of JSON (NDJSON), a page at a time: for the API and for the command line alike.

Each line: {"kind": ..., "cursor": ..., "data": ...}. An export that broke off goes on behind the cursor of the
last whole line. The last line of a whole one is {"kind": "end", "count": ...}.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, NamedTuple

import orjson

from api.http import pagination
from api.http.answers import shown
from api.http.pagination import Wrong
from api.resources import documents
from api.resources.representation import notification
from db import exports
from db.exports import Row, Wanted

MEDIA = "application/x-ndjson"


class Place(NamedTuple):
    """Where a page begins: behind the one `after` of a kind, or at the first one."""

    kind: str
    after: str = ""


class Page(NamedTuple):
    """Some lines, how many (`rows`), and where the next page begins; None behind the last."""

    lines: bytes
    rows: int
    following: Place | None


def first(wanted: Wanted) -> Place:
    """Where an export begins."""
    return Place(exports.kinds(wanted)[0])


def place(cursor: str, wanted: Wanted) -> Place:
    """Where an export goes on behind the line with this cursor; raises Wrong."""
    kind, _, after = pagination.decoded(cursor).partition(" ")
    if kind not in exports.kinds(wanted) or not after or "\0" in after:
        raise Wrong(pagination.NOT_OURS)
    return Place(kind, after)


def page(wanted: Wanted, at: Place, size: int) -> Page:
    """Up to `size` lines; one, where it may hold files. Raises Wrong for a place that is none."""
    limit = 1 if wanted.attachments and at.kind == "notification" else size
    try:
        found = exports.page(wanted, at.kind, at.after, limit)
    except ValueError:
        raise Wrong(pagination.NOT_OURS) from None
    lines = b"".join(_line(at.kind, behind, row) for behind, row in found)
    return Page(lines, len(found), _following(wanted, at, found))


def end(count: int) -> bytes:
    """The line by which one knows that nothing is missing."""
    return orjson.dumps({"kind": "end", "count": count}) + b"\n"


def _following(wanted: Wanted, at: Place, found: exports.Found) -> Place | None:
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
    for file, content in zip(whole["attachments"], row["contents"] or (), strict=False):
        file["content"] = base64.b64encode(content).decode()
    events = [{**event, "detail": shown(event["detail"])} for event in row["events"]]
    return {**whole, "attempts": [shown(attempt) for attempt in row["attempts"]], "events": events}


_SHOWN: dict[str, Callable[[Row], dict[str, Any]]] = {
    "client": shown,
    "key": shown,
    "callback": documents.endpoint,
    "suppression": documents.suppression,
    "template": documents.template,
    "audit": documents.act,
    "notification": _notification,
}
