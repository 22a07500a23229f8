"""Serve /notifications/{id}: everything that is known about one notification."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import orjson
from falcon.asgi import Request, Response

from actors.channels.email.channel import EMAIL
from actors.channels.email.document import NONE
from actors.channels.registry import channel
from api.access.auth import Caller, require
from api.dashboard import curl
from api.dashboard.framed import width_of
from api.dashboard.images import kind_of
from api.dashboard.page import show
from api.dashboard.phrases import shortened, words
from api.dashboard.visitor import may_choose
from api.http.answers import id_of, unknown
from api.resources.representation import KIND
from api.store import NotificationStore
from db import reports, timeline, waiting
from db.reports import Row
from db.waiting import COUNTED, Reason
from settings import Settings

_VIEWS = ("html", "text", "source")
# Action, the scope that it needs, and the status that it needs.
_ACTS = (("retry", "manage", "failed"), ("cancel", "manage", "pending"), ("resend", "send", None))


class Told(NamedTuple):
    row: Row
    events: list[Row]
    attempts: dict[int, Row]
    reasons: list[Reason]


class Story:
    """GET: the page. The parameter `view` chooses how the mail is shown: html, text or source."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response, id: str) -> None:
        caller = require(req, "read")
        told = await self._store.read(_told, id_of(id, KIND), caller.client_id, self._store.settings)
        if told is None:
            raise unknown(KIND)
        row = told.row
        own = channel(row["type"]).show(row["mail"], row["message"])
        is_mail = row["type"] == EMAIL.name
        asked = req.params.get("view")
        views = [view for view in (_VIEWS if is_mail else ("text",)) if view != "html" or row["html"] is not None]
        show(
            req,
            resp,
            "story.html",
            row=row,
            is_mail=is_mail,
            mail={**NONE, **own},
            fields={}
            if is_mail
            else {words(name): _written(value) for name, value in own.items() if value is not None},
            events=[_event(event, told.attempts, row["created_at"]) for event in told.events],
            reasons=told.reasons,
            curl=curl.get(req, self._store.settings, f"/api/notifications/{row['id']}"),
            names_actors=may_choose(caller),
            most_earlier=COUNTED,
            acts=_acts(row, caller),
            views=views,
            view=asked if asked in views else views[0],
            width=width_of(req) if row["html"] is not None else None,
            is_image=lambda file: kind_of(file["contentType"]) is not None,
        )

    on_head = on_get


def _told(id: int, owner: int, settings: Settings) -> Told | None:
    row = reports.notification(id, owner)
    if row is None:
        return None
    attempts = {attempt["number"]: attempt for attempt in reports.attempts(id, owner)}
    reasons = waiting.reasons(id, owner, settings.delivery.worker_timeout, settings.provider_names)
    return Told(row, timeline.events(id, owner) or [], attempts, reasons)


def _event(event: Row, attempts: dict[int, Row], accepted: datetime) -> dict[str, Any]:
    """Return the event with its attempt, the milliseconds it took, and the seconds since acceptance."""
    attempt = attempts.get(event["detail"].get("number", 0))
    took = (attempt["finished_at"] - attempt["started_at"]).total_seconds() * 1000 if attempt else None
    after = (event["at"] - accepted).total_seconds()
    return {**event, "attempt": attempt, "took": took, "after": after}


def _written(value: object) -> str:
    """Return the value of a field that only its channel has, cut to a length for people."""
    return shortened(value if isinstance(value, str) else orjson.dumps(value).decode())


def _acts(row: Row, caller: Caller) -> list[str]:
    """Return the actions that are allowed now. Erased notifications have none; test keys act on sandbox ones only."""
    if row["erased_at"] is not None or (caller.sandbox and not row["sandbox"]):
        return []
    return [act for act, scope, state in _ACTS if scope in caller.scopes and state in (None, row["status"])]
