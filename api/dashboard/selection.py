"""Serve /notifications/selected: retry or cancel the notifications that are selected in the list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode

from falcon.asgi import Request, Response

from api.access.auth import Caller, require
from api.dashboard.forms import Form
from api.dashboard.page import done, show
from api.http.answers import id_of
from api.http.problems import Problem
from api.resources import control
from api.resources.representation import KIND
from api.store import NotificationStore
from db import reports
from db.reports import Row

MOST = 100  # notifications at once
LONGEST = 4_000  # characters of the query of the list
_SKIPPED = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)


class Action(NamedTuple):
    """An action on one notification. `needed`: the status that it needs. `done`: its name as a participle."""

    name: str
    done: str
    needed: str
    move: Callable[[NotificationStore, int, Caller], Awaitable[Row]]


_ACTIONS = {
    "retry": Action("retry", "retried", "failed", control.retry),
    "cancel": Action("cancel", "cancelled", "pending", control.cancel),
}


class Selection:
    """POST: count what can be moved and ask for confirmation; POST with `sure`: retry or cancel it, one by one.

    A notification that cannot be moved is skipped. Each that is moved has the event of a single retry or cancel.
    """

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_post(self, req: Request, resp: Response) -> None:
        caller, form = require(req, "manage"), req.context.form
        action, ids = _action(form), _ids(form)
        if "sure" in form:
            moved = [id for id in ids if await self._moved(action, id, caller)]
            done(req, resp, _list(form), f"{action.done}-selected", len(moved), len(ids) - len(moved))
            return
        found = await self._store.read(_movable, ids, caller, action.needed)
        if not found:
            resp.status = HTTPStatus.CONFLICT.value
        reasons = Counter(row["failure_reason"] for row in found if row["failure_reason"])
        show(
            req,
            resp,
            "selected.html",
            action=action,
            ids=[row["id"] for row in found],
            skipped=len(ids) - len(found),
            reasons=reasons.most_common(),
            query=form.get("query", ""),
            back=_list(form),
        )

    async def _moved(self, action: Action, id: int, caller: Caller) -> bool:
        try:
            await action.move(self._store, id, caller)
        except Problem as problem:
            if problem.status not in _SKIPPED:
                raise
            return False
        return True


def _movable(ids: Sequence[int], caller: Caller, needed: str) -> list[Row]:
    """Return those of the caller's notifications that can be moved. Call within `connection()`."""
    rows = (reports.notification(id, caller.client_id) for id in ids)
    return [row for row in rows if row is not None and _is_movable(row, caller, needed)]


def _is_movable(row: Row, caller: Caller, needed: str) -> bool:
    if row["status"] != needed or row["erased_at"] is not None or (caller.sandbox and not row["sandbox"]):
        return False
    expires_at = row["expires_at"]
    return needed != "failed" or expires_at is None or bool(expires_at > datetime.now(UTC))


def _action(form: Form) -> Action:
    if (action := _ACTIONS.get(form.get("act", ""))) is None:
        raise Problem(HTTPStatus.BAD_REQUEST, "Choose “Retry selected” or “Cancel selected” in the list.")
    return action


def _ids(form: Form) -> list[int]:
    """Return the selected ids, each once; raise Problem if there are none, or too many."""
    ids = list(dict.fromkeys(id_of(raw, KIND) for raw in form.all("id")))
    if not 0 < len(ids) <= MOST:
        wrong = "is selected" if not ids else f"can be moved: {len(ids)} are selected"
        raise Problem(HTTPStatus.BAD_REQUEST, f"No notification {wrong}. Go back and select 1 to {MOST}.")
    return ids


def _list(form: Form) -> str:
    """Return the path of the list that the form came from, with its filters."""
    query = form.get("query", "")
    pairs = parse_qsl(query) if len(query) <= LONGEST else []
    return f"/notifications?{urlencode(pairs)}" if pairs else "/notifications"
