"""Serve /notifications/list.csv: the rows of the list as CSV (RFC 4180)."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Sequence
from typing import Any

from falcon.asgi import Request, Response

from api.access.auth import require
from api.dashboard import filters
from api.dashboard.listing import asked, found
from api.http import pagination
from api.http.times import exact
from api.store import NotificationStore
from db.reports import Row
from db.search import Search

MOST = 10_000  # rows
READS = 100  # pages that are read; a page of a search without an index may have few rows
COLUMNS: tuple[str, ...] = ("id", "created_at", "finished_at", "status", "recipient", "subject", "priority")
COLUMNS += ("attempt_count", "failure_reason", "last_error", "template", "tags", "sandbox")
# A spreadsheet takes a cell that begins with one of these for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Table:
    """GET: up to MOST notifications that match the filters, newest first."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response) -> None:
        owner = require(req, "read").client_id
        wanted, query = asked(filters.given(req.params))
        resp.content_type = "text/csv; charset=utf-8; header=present"
        resp.set_header("Content-Disposition", 'attachment; filename="notifications.csv"')
        resp.stream = self._lines(owner, wanted, query._replace(limit=pagination.LARGEST_LIMIT))

    async def _lines(self, owner: int, wanted: Search | None, query: pagination.Query) -> AsyncIterator[bytes]:
        yield _csv([COLUMNS])
        left = MOST
        for _ in range(READS):
            page = await self._store.read(found, owner, wanted, query)
            yield _csv([_values(row) for row in page.rows[:left]])
            left -= len(page.rows)
            if page.after is None or left <= 0:
                return
            query = query._replace(after=page.after)


def _values(row: Row) -> list[str]:
    return [_cell(row[name]) for name in COLUMNS]


def _cell(value: Any) -> str:
    if value is None or isinstance(value, bool | int):
        return "" if value is None else str(value).lower()
    text = " ".join(value) if isinstance(value, list) else value if isinstance(value, str) else exact(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _csv(lines: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(lines)
    return text.getvalue().encode()
