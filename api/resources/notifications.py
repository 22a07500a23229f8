"""/api/notifications: send, list, show and reschedule notifications, and list their attempts."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from falcon.asgi import Request, Response

from api.access.auth import Caller, require
from api.access.exceeded import Exceeded
from api.access.limits import Limits
from api.http import idempotency, pagination
from api.http.answers import id_of, shown, unknown, write
from api.http.asgi import LEFT
from api.http.bodies import body_size, read_json
from api.http.problems import Problem, invalid
from api.rendering.faults import Faulty
from api.rendering.templating import Templating
from api.resources.named_destinations import NamedDestinations
from api.resources.representation import KIND, just_accepted, notification, summary
from api.resources.rescheduling import Rescheduling
from api.schemas.drafts import draft, time_faults
from api.store import NotificationStore
from db import reports
from db.idempotency import Key, Outcome, Post, Refusal, Stored, find
from db.models import FINAL
from db.records import Draft
from runtime import logs

log = logs.get("api")


class Notifications:
    """POST: accept a notification. GET: list notifications, newest first."""

    def __init__(self, store: NotificationStore, limits: Limits, templating: Templating) -> None:
        self._store, self._limits, self._templating = store, limits, templating
        self._documents, self._destinations = templating.documents, NamedDestinations(store)

    async def on_post(self, req: Request, resp: Response) -> None:
        caller, raw_key = require(req, "send"), idempotency.key_of(req)
        document = await read_json(req, self._store.settings.http)
        if faults := self._documents.faults(document, caller.rights):
            raise invalid(HTTPStatus.UNPROCESSABLE_ENTITY, faults)
        key = idempotency.keyed(raw_key, document, sandbox=caller.sandbox)
        wanted = await self._wanted(document, caller, key)
        size = body_size(req)
        del document  # Free its memory before the wait for the database: it may contain large files in base64.
        stored = await self._admitted(caller, wanted, size, key, resp) if isinstance(wanted, Draft) else wanted
        if isinstance(stored, Refusal):
            raise idempotency.refused(stored, {"header": idempotency.HEADER})
        _log(stored)
        resp.status = 201
        resp.set_header("Location", f"/api/notifications/{stored.accepted.id}")
        if stored.replayed:
            idempotency.say_replayed(resp)
        write(resp, just_accepted(stored.accepted, stored.draft))

    async def on_get(self, req: Request, resp: Response) -> None:
        owner = require(req, "read").client_id
        query = pagination.parse(req.params)
        page = await self._store.read(reports.newest, owner, query.filters, query.after, query.limit)
        next_place = pagination.cursor(page.after._asdict()) if page.after else None
        write(resp, {"items": [summary(row) for row in page.rows], "nextCursor": next_place})

    on_head = on_get

    async def _wanted(self, document: dict[str, Any], caller: Caller, key: Key | None) -> Draft | Outcome:
        """Return what to store, or the outcome of an earlier request with the same key."""
        if "template" in document:
            try:
                document = await self._templating.filled(caller.client_id, document)
            except Faulty as faulty:
                problem = invalid(HTTPStatus.UNPROCESSABLE_ENTITY, faulty.listed)
                return await self._earlier(caller.client_id, key, problem)
        content, faults = self._documents.read(document, caller.rights)
        if content is None:
            raise invalid(HTTPStatus.UNPROCESSABLE_ENTITY, faults)
        if faults := await self._destinations.faults(caller, document["type"], content):
            return await self._earlier(caller.client_id, key, invalid(HTTPStatus.UNPROCESSABLE_ENTITY, faults))
        return draft(document, caller, content)

    async def _admitted(self, caller: Caller, wanted: Draft, size: int, key: Key | None, resp: Response) -> Outcome:
        if faults := time_faults(wanted.send_at, wanted.expires_at, datetime.now(UTC)):
            problem = invalid(HTTPStatus.UNPROCESSABLE_ENTITY, faults)
            return await self._earlier(caller.client_id, key, problem)
        try:
            admission = await self._limits.admit(caller, 1, size)
        except Exceeded as exceeded:
            if exceeded.soon:
                raise
            return await self._earlier(caller.client_id, key, exceeded)
        with admission:
            stored = await self._stored(wanted, key)
            if isinstance(stored, Stored):
                admission.stored(int(not stored.replayed), resp)
        return stored

    async def _stored(self, wanted: Draft, key: Key | None) -> Outcome:
        if key is None and not wanted.contents:
            return Stored(await self._store.accept(wanted), wanted)
        return await self._store.accept_once(Post(wanted, key))

    async def _earlier(self, client_id: int, key: Key | None, problem: Problem) -> Outcome:
        """Return the outcome of an earlier request with this key, if there is one, or raise `problem`.

        A request may have been valid when it came first and be invalid now.
        """
        if key and (known := await self._store.read(find, client_id, key)):
            return known
        raise problem


class Notification:
    """GET: show a notification; with `wait`, once it is final or after that many seconds. PATCH: reschedule it."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store
        self._rescheduling = Rescheduling(store)

    async def on_get(self, req: Request, resp: Response, id: str) -> None:
        owner = require(req, "read").client_id
        wait = pagination.whole(req.params, "wait", self._store.settings.streams.long_poll_max)
        row = await self._store.read(reports.notification, id_of(id, KIND), owner)
        if row is not None and wait and row["status"] not in FINAL:
            row = await self._store.watch.end(row["id"], owner, wait, req.scope[LEFT])
            if self._store.watch.stopping:
                resp.set_header("Connection", "close")
        if row is None:
            raise unknown(KIND)
        write(resp, notification(row))

    on_head = on_get

    async def on_patch(self, req: Request, resp: Response, id: str) -> None:
        caller = require(req, "manage")
        write(resp, notification(await self._rescheduling.answer(req, id_of(id, KIND), caller)))


class Attempts:
    """GET: list the attempts of a notification, first to last."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response, id: str) -> None:
        owner = require(req, "read").client_id
        history = await self._store.read(reports.attempts, id_of(id, KIND), owner)
        # The history is empty for a notification without attempts and for one that does not exist.
        if not history and await self._store.read(reports.notification, id_of(id, KIND), owner) is None:
            raise unknown(KIND)
        write(resp, {"items": [shown(row) for row in history]})

    on_head = on_get


def _log(stored: Stored) -> None:
    event = "notification.replayed" if stored.replayed else "notification.accepted"
    id = stored.accepted.id
    log.routine(event, id, id=id, recipient=logs.masked(stored.draft.recipient))
