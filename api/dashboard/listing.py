"""Serve the list of notifications, newest first. Each page is read from an index, and nothing is counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import urlencode

from falcon.asgi import Request, Response

from api.access.auth import require
from api.dashboard import filters, search, selection
from api.dashboard.page import show
from api.http import pagination
from api.http.problems import Problem
from api.store import NotificationStore
from db import reports
from db import search as searches
from db.models import DELIVERY_STATUSES, PRIORITIES, STATUSES
from db.reports import Position
from db.search import Search, Understood

PATH = "/notifications"
TRAIL = "trail"  # the cursors of the pages before, joined with dots
KEPT = 30  # cursors in a trail
_FIELDS = (
    *(search.BOX, "status", "deliveryStatus", "recipient", "tag", "priority", "sandbox", "createdFrom", "createdTo"),
)


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
        given = filters.given(req.params)
        typed = str(given.get(search.BOX, given.get("recipient", "")))
        if (id := search.id_in(typed)) is not None:
            resp.status, resp.location = HTTPStatus.SEE_OTHER.value, f"{PATH}/{id}"
            return
        try:
            wanted, query = asked(given)
        except Problem as problem:
            resp.status = problem.status.value
            _show(req, resp, given, Page(faults=problem.errors))
            return
        _show(req, resp, given, await self._store.read(found, owner, wanted, query), query.limit)

    on_head = on_get


def asked(given: Mapping[str, Any]) -> tuple[Search | None, pagination.Query]:
    """Return the search and the other filters; raise a Problem that lists every invalid parameter."""
    rest = {name: value for name, value in given.items() if name not in (search.BOX, TRAIL)}
    wanted = search.parse(given[search.BOX]) if search.BOX in given else None
    return wanted, pagination.parse(rest)


def found(owner: int, wanted: Search | None, query: pagination.Query) -> Page:
    """Return a page of the notifications of a client. Call within `connection()`."""
    if wanted is None:
        return Page(*reports.newest(owner, query.filters, query.after, query.limit))
    understood = searches.understood(owner, wanted)
    page = searches.page(owner, understood, query.filters, query.after, query.limit)
    return Page(*page, understood)


def _show(req: Request, resp: Response, given: Mapping[str, Any], page: Page, limit: int = 0) -> None:
    chosen = {name: value for name, value in given.items() if name not in ("cursor", TRAIL)}
    show(
        req,
        resp,
        "notifications.html",
        page=page,
        limit=limit,
        filled={name: filters.shown(chosen.get(name, "")) for name in _FIELDS},
        filtered=bool(chosen),
        first=_place(chosen) if "cursor" in given else None,
        previous=_previous(chosen, given) if "cursor" in given else None,
        next_place=_next(chosen, given, page.after) if page.after else None,
        table=_place(chosen, f"{PATH}/list.csv"),
        spans=[(name, _place(filters.since(chosen, seconds))) for name, seconds in filters.SPANS],
        statuses=STATUSES,
        delivery_statuses=DELIVERY_STATUSES,
        priorities=PRIORITIES,
        search=search,
        selects="manage" in req.context.caller.scopes,
        query=urlencode(given, doseq=True),
        most_selected=selection.MOST,
    )


def _next(chosen: Mapping[str, Any], given: Mapping[str, Any], after: Position) -> str:
    passed = [*_trail(given), *([given["cursor"]] if "cursor" in given else [])][-KEPT:]
    trail = {TRAIL: ".".join(passed)} if passed else {}
    return _place({**chosen, "cursor": pagination.cursor(after._asdict()), **trail})


def _previous(chosen: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    *passed, last = _trail(given) or [""]
    cursor = {"cursor": last} if last else {}
    trail = {TRAIL: ".".join(passed)} if passed else {}
    return _place({**chosen, **cursor, **trail})


def _trail(given: Mapping[str, Any]) -> list[str]:
    return [cursor for cursor in str(given.get(TRAIL, "")).split(".") if cursor]


def _place(query: Mapping[str, Any], path: str = PATH) -> str:
    return f"{path}?{urlencode(query, doseq=True)}" if query else path
