"""Serve the list of notifications, newest first. Each page is read from an index, and nothing is counted."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import urlencode

from falcon.asgi import Request, Response

from api.access.auth import require
from api.dashboard import search
from api.dashboard.page import show
from api.http import pagination
from api.http.problems import Problem
from api.store import NotificationStore
from db import reports
from db import search as searches
from db.models import PRIORITIES, STATUSES
from db.reports import Position
from db.search import Search, Understood

PATH = "/notifications"
# The value of <input type="datetime-local">. It has no time zone, so the page says UTC.
_LOCAL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?")
ONE = (search.BOX, "recipient")  # parameters of which the last value counts
_FIELDS = (search.BOX, "status", "recipient", "tag", "priority", "sandbox", "createdFrom", "createdTo")


class Page(NamedTuple):
    """Rows of the list, the position of the next page, and how the search was understood.

    With `faults`, the errors of the filters, there are no rows.
    """

    rows: Sequence[reports.Row] = ()
    after: Position | None = None
    understood: Understood | None = None
    faults: Sequence[dict[str, str]] = ()


class Listing:
    """GET: one page of the notifications that match the filters."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response) -> None:
        owner = require(req, "read").client_id
        given = _given(req.params)
        typed = str(given.get(search.BOX, given.get("recipient", "")))
        if (id := search.id_in(typed)) is not None:
            resp.status, resp.location = HTTPStatus.SEE_OTHER.value, f"{PATH}/{id}"
            return
        try:
            asked, query = self._asked(given)
        except Problem as problem:
            resp.status = problem.status.value
            _show(req, resp, given, Page(faults=problem.errors))
            return
        _show(req, resp, given, await self._store.read(_found, owner, asked, query), query.limit)

    on_head = on_get

    def _asked(self, given: Mapping[str, Any]) -> tuple[Search | None, pagination.Query]:
        rest = {name: value for name, value in given.items() if name != search.BOX}
        asked = search.parse(given[search.BOX]) if search.BOX in given else None
        return asked, pagination.parse(rest, self._store.settings.store.page_limit)


def _found(owner: int, asked: Search | None, query: pagination.Query) -> Page:
    if asked is None:
        return Page(*reports.newest(owner, query.filters, query.after, query.limit))
    understood = searches.understood(owner, asked)
    page = searches.page(owner, understood, query.filters, query.after, query.limit)
    return Page(*page, understood)


def _given(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the non-empty filters, with times in the format of the API."""
    given = {}
    for name, value in params.items():
        text = value[-1] if isinstance(value, list) else value
        if text == "":
            continue
        given[name] = value if isinstance(value, list) and name not in ONE else text.strip()
        if name in ("createdFrom", "createdTo") and _LOCAL.fullmatch(text):
            given[name] = f"{text}{'' if text.count(':') > 1 else ':00'}Z"
    return given


def _show(req: Request, resp: Response, given: Mapping[str, Any], page: Page, limit: int = 0) -> None:
    filters = {name: value for name, value in given.items() if name != "cursor"}
    later = None if page.after is None else pagination.cursor(page.after._asdict())
    show(
        req,
        resp,
        "notifications.html",
        page=page,
        limit=limit,
        filled={name: _shown(filters.get(name, "")) for name in _FIELDS},
        filtered=bool(filters),
        first=_place(filters) if "cursor" in given else None,
        next_place=_place({**filters, "cursor": later}) if later else None,
        statuses=STATUSES,
        priorities=PRIORITIES,
        search=search,
    )


def _shown(value: Any) -> str:
    text = str(value[-1] if isinstance(value, list) else value)
    return text.removesuffix("Z") if _LOCAL.fullmatch(text.removesuffix("Z")) else text


def _place(query: Mapping[str, Any]) -> str:
    return f"{PATH}?{urlencode(query, doseq=True)}" if query else PATH
