"""/api/notifications and what is below it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Any

import orjson
from falcon.asgi import Request, Response

import logs
from api import mails, pages
from api.bodies import read_json
from api.gateway import Gateway
from api.mails import Extras, Mails
from api.problems import Problem, invalid
from api.schemas import Schema
from db import reports
from db.records import Accepted, Draft

log = logs.get("api")

DEFAULT_SUBJECT = "Notification"
LARGEST_ID = 2**63 - 1  # bigint


class Notifications:
    """POST: accept one. GET: the list, newest first."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._schema = Schema("notification", gateway.settings)
        self._mails = Mails(gateway.settings)

    async def on_post(self, req: Request, resp: Response) -> None:
        document = await read_json(req, self._gateway.settings)
        faults = self._schema.faults(document)
        extras = self._mails.read(document, _senders(req), faults)
        if faults := faults + extras.faults:
            raise invalid(HTTPStatus.UNPROCESSABLE_ENTITY, faults)
        draft = _draft(document, extras)
        del document  # It may hold large files in base64, and the wait for the database may be long.
        accepted = await self._gateway.accept(draft)
        log.info("notification.accepted", id=accepted.id, recipient=logs.masked(draft.recipient))
        resp.status = 201
        resp.set_header("Location", f"/api/notifications/{accepted.id}")
        _write(resp, _just_accepted(accepted, draft))

    async def on_get(self, req: Request, resp: Response) -> None:
        query = pages.parse(req.params, self._gateway.settings.page_limit)
        found = await self._gateway.read(reports.newest, query.filters, query.after, query.limit + 1)
        page = found[: query.limit]
        more = len(found) > query.limit
        _write(resp, {"items": [_shown(row) for row in page], "nextCursor": pages.cursor(page[-1]) if more else None})

    on_head = on_get


class Notification:
    """GET: one notification."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def on_get(self, _req: Request, resp: Response, id: str) -> None:
        row = await self._gateway.read(reports.notification, _id(id))
        if row is None:
            raise _unknown(id)
        mail = row.pop("mail")
        _write(resp, _shown(row) | mails.shown(mail))

    on_head = on_get


class Attempts:
    """GET: every attempt of one notification, first to last."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def on_get(self, _req: Request, resp: Response, id: str) -> None:
        history = await self._gateway.read(reports.attempts, _id(id))
        # A notification without attempts yet has an empty history; an unknown one has none.
        if not history and await self._gateway.read(reports.notification, _id(id)) is None:
            raise _unknown(id)
        _write(resp, {"items": [_shown(row) for row in history]})

    on_head = on_get


def _senders(req: Request) -> Collection[str]:
    """What the client may send from, addresses and @domains, besides MAIL_FROM."""
    senders: Collection[str] = getattr(getattr(req.context, "caller", None), "senders", ())
    return senders


def _draft(document: Mapping[str, Any], extras: Extras) -> Draft:
    return Draft(
        document["type"],
        document["recipient"],
        document.get("subject", DEFAULT_SUBJECT),
        document["message"],
        document.get("html"),
        document.get("onUncertain", "resend"),
        extras.mail,
        extras.contents,
    )


def _just_accepted(accepted: Accepted, draft: Draft) -> dict[str, Any]:
    """What GET would show at this moment, without asking."""
    fields = draft._asdict()
    del fields["contents"]
    mail = fields.pop("mail")
    return {
        "id": accepted.id,
        **_shown(fields),
        "status": "pending",
        "attemptCount": 0,
        "retryCount": 0,
        "lastError": None,
        "failureReason": None,
        "createdAt": accepted.created_at,
        "nextAttemptAt": accepted.created_at,
        "finishedAt": None,
        **mails.shown(None if mail is None else orjson.loads(mail)),
    }


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with its names in camelCase."""
    return {_NAMES.setdefault(name, _camel(name)): value for name, value in row.items()}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


_NAMES: dict[str, str] = {}


def _id(raw: str) -> int:
    if not (raw.isascii() and raw.isdecimal() and len(raw) < 20 and int(raw) <= LARGEST_ID):
        raise _unknown(raw)
    return int(raw)


def _unknown(_id: str) -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, "There is no notification with this id.")


def _write(resp: Response, body: Mapping[str, Any]) -> None:
    resp.content_type = "application/json"
    resp.data = orjson.dumps(body, option=orjson.OPT_UTC_Z)
