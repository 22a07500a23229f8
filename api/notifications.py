"""/api/notifications and what is below it."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from falcon.asgi import Request, Response

import logs
from api import pages
from api.addresses import normalised
from api.auth import Caller, require
from api.bodies import read_json
from api.gateway import Gateway
from api.problems import Problem, invalid
from api.schemas import Schema
from api.templating import Templating
from db import reports
from db.records import Accepted, Draft

log = logs.get("api")

DEFAULT_SUBJECT = "Notification"
LARGEST_ID = 2**63 - 1  # bigint


class Notifications:
    """POST: accept one. GET: the list, newest first."""

    def __init__(self, gateway: Gateway, templating: Templating) -> None:
        self._gateway, self._templating = gateway, templating
        self._schema = Schema("notification", gateway.settings)

    async def on_post(self, req: Request, resp: Response) -> None:
        caller = require(req, "send")
        document = await read_json(req, self._gateway.settings)
        if faults := self._schema.faults(document):
            raise invalid(HTTPStatus.UNPROCESSABLE_ENTITY, faults)
        if "template" in document:
            document = await self._templating.filled(caller.client_id, document)
        draft = _draft(document, caller)
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
        _write(resp, _shown(row))

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


def _draft(document: Mapping[str, Any], caller: Caller) -> Draft:
    template = document.get("template", {})
    mailbox = normalised(document["recipient"])
    return Draft(
        document["type"],
        document["recipient"],
        document.get("subject", DEFAULT_SUBJECT),
        document["message"],
        document.get("html"),
        document.get("onUncertain", "resend"),
        client_id=caller.client_id,
        template=template.get("name"),
        template_version=template.get("version"),
        mailbox=mailbox if mailbox != document["recipient"] else None,
    )


def _just_accepted(accepted: Accepted, draft: Draft) -> dict[str, Any]:
    """What GET would show at this moment, without asking."""
    failed = accepted.failure_reason is not None
    return {
        "id": accepted.id,
        **_shown(draft._asdict()),
        "status": "failed" if failed else "pending",
        "attemptCount": 0,
        "retryCount": 0,
        "lastError": accepted.last_error,
        "failureReason": accepted.failure_reason,
        "createdAt": accepted.created_at,
        "nextAttemptAt": None if failed else accepted.created_at,
        "finishedAt": accepted.created_at if failed else None,
    }


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with its names in camelCase, without what is ours alone."""
    shown = {_NAMES.setdefault(name, _camel(name)): value for name, value in row.items() if name not in _HIDDEN}
    if "template" in row:
        version = row["template_version"]
        shown["template"] = None if version is None else {"name": row["template"], "version": version}
    return shown


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


_NAMES: dict[str, str] = {}
_HIDDEN = ("client_id", "mailbox", "template_version")


def _id(raw: str) -> int:
    if not (raw.isascii() and raw.isdecimal() and len(raw) < 20 and int(raw) <= LARGEST_ID):
        raise _unknown(raw)
    return int(raw)


def _unknown(_id: str) -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, "There is no notification with this id.")


def _write(resp: Response, body: Mapping[str, Any]) -> None:
    resp.content_type = "application/json"
    resp.data = orjson.dumps(body, option=orjson.OPT_UTC_Z)
