"""/api/notifications and what is below it."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from falcon.asgi import Request, Response

import logs
from api import mails, pages
from api.answers import id_of, shown, unknown, write
from api.auth import Caller, require
from api.bodies import read_json
from api.gateway import Gateway
from api.mails import Extras, Mails
from api.problems import invalid
from api.schemas import Schema
from db import reports
from db.records import Accepted, Draft

log = logs.get("api")

DEFAULT_SUBJECT = "Notification"
KIND = "notification"


class Notifications:
    """POST: accept one. GET: the list, newest first."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._schema = Schema("notification", gateway.settings)
        self._mails = Mails(gateway.settings)

    async def on_post(self, req: Request, resp: Response) -> None:
        caller = require(req, "send")
        document = await read_json(req, self._gateway.settings)
        faults = self._schema.faults(document)
        extras = self._mails.read(document, caller.senders, faults)
        if faults := faults + extras.faults:
            raise invalid(HTTPStatus.UNPROCESSABLE_ENTITY, faults)
        draft = _draft(document, extras, caller)
        del document  # It may hold large files in base64, and the wait for the database may be long.
        accepted = await self._gateway.accept(draft)
        log.info("notification.accepted", id=accepted.id, recipient=logs.masked(draft.recipient))
        resp.status = 201
        resp.set_header("Location", f"/api/notifications/{accepted.id}")
        write(resp, _just_accepted(accepted, draft))

    async def on_get(self, req: Request, resp: Response) -> None:
        owner = require(req, "read").client_id
        query = pages.parse(req.params, self._gateway.settings.page_limit)
        found = await self._gateway.read(reports.newest, owner, query.filters, query.after, query.limit + 1)
        page = found[: query.limit]
        more = len(found) > query.limit
        write(resp, {"items": [shown(row) for row in page], "nextCursor": pages.cursor(page[-1]) if more else None})

    on_head = on_get


class Notification:
    """GET: one notification."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def on_get(self, req: Request, resp: Response, id: str) -> None:
        owner = require(req, "read").client_id
        row = await self._gateway.read(reports.notification, id_of(id, KIND), owner)
        if row is None:
            raise unknown(KIND)
        mail = row.pop("mail")
        write(resp, shown(row) | mails.shown(mail))

    on_head = on_get


class Attempts:
    """GET: every attempt of one notification, first to last."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def on_get(self, req: Request, resp: Response, id: str) -> None:
        owner = require(req, "read").client_id
        history = await self._gateway.read(reports.attempts, id_of(id, KIND), owner)
        # A notification without attempts yet has an empty history; an unknown one has none.
        if not history and await self._gateway.read(reports.notification, id_of(id, KIND), owner) is None:
            raise unknown(KIND)
        write(resp, {"items": [shown(row) for row in history]})

    on_head = on_get


def _draft(document: Mapping[str, Any], extras: Extras, caller: Caller) -> Draft:
    return Draft(
        document["type"],
        document["recipient"],
        document.get("subject", DEFAULT_SUBJECT),
        document["message"],
        document.get("html"),
        document.get("onUncertain", "resend"),
        client_id=caller.client_id,
        sandbox=caller.sandbox,
        mail=extras.mail,
        contents=extras.contents,
    )


def _just_accepted(accepted: Accepted, draft: Draft) -> dict[str, Any]:
    """What GET would show at this moment, without asking."""
    return {
        "id": accepted.id,
        **shown({name: value for name, value in draft._asdict().items() if name not in _UNSHOWN}),
        "status": "pending",
        "attemptCount": 0,
        "retryCount": 0,
        "lastError": None,
        "failureReason": None,
        "createdAt": accepted.created_at,
        "nextAttemptAt": accepted.created_at,
        "finishedAt": None,
        **mails.shown(orjson.loads(draft.mail) if draft.mail else None),
    }


_UNSHOWN = ("client_id", "mail", "contents")
