"""Serve the list of notifications, newest first. Each page is read from an index, and nothing is counted."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import urlencode

from falcon.asgi import Request, Response

from api.access.auth import require
from api.dashboard.page import show
from api.http import pagination
from api.http.problems import Problem
from api.store import NotificationStore
from db import reports
from db.models import PRIORITIES, STATUSES

PATH = "/notifications"
# The value of <input type="datetime-local">. It has no time zone, so the page says UTC.
_LOCAL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?")
_ID = re.compile(r"#?\s*(\d{1,19})\s*")
_FIELDS = ("status", "recipient", "tag", "priority", "createdFrom", "createdTo")


class Page(NamedTuple):
    """Rows of the list, the cursor of the next page, and the errors of the filters (then there are no rows)."""

    rows: list[reports.Row]
    more: str | None
    faults: Sequence[dict[str, str]] = ()


class Listing:
    """GET: one page of the notifications that match the filters."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response) -> None:
        owner = require(req, "read").client_id
        given = _given(req.params)
        if found := _ID.fullmatch(given.get("recipient", "")):
            resp.status, resp.location = HTTPStatus.SEE_OTHER.value, f"{PATH}/{found[1]}"
            return
        try:
            query = pagination.parse(given, self._store.settings.store.page_limit)
        except Problem as problem:
            resp.status = problem.status.value
            _show(req, resp, given, Page([], None, problem.errors))
            return
        page = await self._store.read(reports.newest, owner, query.filters, query.after, query.limit)
        _show(req, resp, given, Page(page.rows, pagination.cursor(page.after._asdict()) if page.after else None))

    on_head = on_get


def _given(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the non-empty filters, with times in the format of the API."""
    given = {}
    for name, value in params.items():
        text = value[-1] if isinstance(value, list) else value
        if text == "":
            continue
        given[name] = value if isinstance(value, list) and name != "recipient" else text.strip()
        if name in ("createdFrom", "createdTo") and _LOCAL.fullmatch(text):
            given[name] = f"{text}{'' if text.count(':') > 1 else ':00'}Z"
    return given


def _show(req: Request, resp: Response, given: Mapping[str, Any], page: Page) -> None:
    filters = {name: value for name, value in given.items() if name != "cursor"}
    show(
        req,
        resp,
        "notifications.html",
        rows=page.rows,
        faults=page.faults,
        filled={name: _shown(filters.get(name, "")) for name in _FIELDS},
        filtered=bool(filters),
        first=_place(filters) if "cursor" in given else None,
        next_place=_place({**filters, "cursor": page.more}) if page.more else None,
        statuses=STATUSES,
        priorities=PRIORITIES,
    )


def _shown(value: Any) -> str:
    text = str(value[-1] if isinstance(value, list) else value)
    return text.removesuffix("Z") if _LOCAL.fullmatch(text.removesuffix("Z")) else text


def _place(query: Mapping[str, Any]) -> str:
    return f"{PATH}?{urlencode(query, doseq=True)}" if query else PATH
