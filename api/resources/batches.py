"""/api/notifications/batch: accepts many notifications in one request and one transaction."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, NamedTuple

from falcon.asgi import Request, Response

from api.access.auth import Caller, require
from api.access.cpu_budget import FREE_ITEM
from api.access.exceeded import Exceeded
from api.access.limits import Limits
from api.access.meter import METER, Meter
from api.http import idempotency
from api.http.answers import write
from api.http.bodies import body_size, read_json
from api.http.checkpoints import Breather, Presence
from api.http.problems import MOST_FAULTS, invalid
from api.rendering.faults import Faulty
from api.rendering.pool import NoRenderer
from api.rendering.templating import Templating
from api.resources.named_destinations import NamedDestinations
from api.resources.representation import just_accepted
from api.schemas import Schema
from api.schemas.documents import Documents
from api.schemas.drafts import draft, time_faults
from api.store import NotificationStore
from db.batches import Answer, Batch, Faults, find_batch
from db.idempotency import Key, Outcome, Post, Refusal, Stored, find_each
from runtime import logs

log = logs.get("api")


class Batches:
    """POST: accept all notifications or none; with ?partial=true, accept those without faults."""

    def __init__(self, store: NotificationStore, limits: Limits, templating: Templating) -> None:
        self._store, self._limits, self._templating = store, limits, templating
        self._schema = Schema("batch", store.settings)
        self._items = Documents(store.settings, {"idempotencyKey": idempotency.PROPERTY})
        self._destinations = NamedDestinations(store)

    async def on_post(self, req: Request, resp: Response) -> None:
        caller, key, partial = require(req, "send"), idempotency.key_of(req), _partial(req)
        meter: Meter = req.scope[METER]
        document = await read_json(req, self._store.settings.http)
        if faults := self._schema.faults(document):
            raise invalid(HTTPStatus.UNPROCESSABLE_ENTITY, faults)
        request = {"batch": document, "partial": partial}
        whole = await asyncio.to_thread(idempotency.keyed, key, request, sandbox=caller.sandbox)
        with Presence(req) as client:
            items = await self._checked(document["items"], caller, Checking(client, meter, Breather()), partial=partial)
        batch = Batch(caller.client_id, items, partial, whole)
        answer = await self._accepted(batch, caller, body_size(req), resp)
        if isinstance(answer, Refusal):
            raise idempotency.refused(answer, {"header": idempotency.HEADER})
        if answer.undone:
            raise invalid(HTTPStatus.UNPROCESSABLE_ENTITY, _faults(answer.items))
        meter.free = FREE_ITEM * sum(isinstance(item, Stored) for item in answer.items)
        _log(answer)
        if answer.replayed or all(isinstance(item, Stored) and item.replayed for item in answer.items):
            idempotency.say_replayed(resp)
        resp.status = HTTPStatus.OK if partial else HTTPStatus.CREATED
        write(resp, {"items": await _shown(answer.items, partial)})

    async def _accepted(self, batch: Batch, caller: Caller, size: int, resp: Response) -> Answer | Refusal:
        faults = _faults(batch.items)
        # An item may have been valid when the batch came first and be invalid now.
        if faults and (known := await self._earlier(batch)):
            return known
        if faults and not batch.partial:
            raise invalid(HTTPStatus.UNPROCESSABLE_ENTITY, faults)
        try:
            admission = await self._limits.admit(caller, sum(isinstance(item, Post) for item in batch.items), size)
        except Exceeded as exceeded:
            known = None if exceeded.soon else await self._earlier(batch)
            if known is None:
                raise
            return known
        with admission:
            answer = await self._store.accept_batch(batch)
            if isinstance(answer, Answer) and not answer.undone:
                admission.stored(_count_new(answer), resp)
        return answer

    async def _earlier(self, batch: Batch) -> Answer | Refusal | None:
        return await self._store.read(find_batch, batch.client_id, batch.key) if batch.key else None

    async def _checked(
        self, items: list[Any], caller: Caller, checking: Checking, *, partial: bool
    ) -> list[Post | Outcome | Faults]:
        """Return for each item what to store, what an earlier request has stored, or its faults.

        Unless `partial`, checking stops once there are more faults than an answer lists.
        """
        seen = set[str]()
        until = time.monotonic() + self._store.settings.templates.batch_timeout
        checked: list[Post | Outcome | Faults] = []
        doubtful: dict[int, Key] = {}
        found = 0  # faults of items that can never have been valid
        for place, item in enumerate(items):
            if found > MOST_FAULTS and not partial:
                break
            await checking.go_on(place)
            one, key = await self._one(item, caller, seen, until)
            checked.append(_placed(one, place) if isinstance(one, list) else one)
            if key:
                doubtful[place] = key
            elif isinstance(one, list):
                found += len(one)
        if doubtful:
            known = await self._store.read(find_each, caller.client_id, list(doubtful.values()))
            for place, key in doubtful.items():
                checked[place] = known.get(key.key, checked[place])
        return checked

    async def _one(self, item: Any, caller: Caller, seen: set[str], until: float) -> tuple[Post | Faults, Key | None]:
        """Return what to store or the faults of an item; then its key, if it may have been valid when it came first."""
        if faults := self._items.faults(item, caller.rights) or _repeated(item, seen):
            return faults, None
        # The digest is without the key, so that the same notification can be repeated alone with the header.
        document = {name: value for name, value in item.items() if name != "idempotencyKey"}
        key = idempotency.keyed(item.get("idempotencyKey"), document, sandbox=caller.sandbox)
        if "template" in document:
            if time.monotonic() > until:
                raise NoRenderer("the items of the batch take too long to render")
            try:
                document = await self._templating.filled(caller.client_id, document)
            except Faulty as faulty:
                return faulty.listed, key
        content, faults = self._items.read(document, caller.rights)
        if content is None:
            return faults, None
        if faults := await self._destinations.faults(caller, document["type"], content):
            return faults, key
        wanted = draft(document, caller, content)
        faults = time_faults(wanted.send_at, wanted.expires_at, datetime.now(UTC))
        return (faults, key) if faults else (Post(wanted, key), None)


class Checking(NamedTuple):
    """Reasons to stop checking a batch early: its client has disconnected, or has used up its CPU time."""

    client: Presence
    meter: Meter
    breather: Breather

    async def go_on(self, done: int) -> None:
        """Yield to the event loop if due; raise a Problem if checking must stop after `done` items."""
        if await self.breather.breathe():
            self.client.require()
            self.meter.require(FREE_ITEM * done)


def _partial(req: Request) -> bool:
    detail = "is not a known parameter; known are partial"
    faults = [{"parameter": name[:100], "detail": detail} for name in req.params if name != "partial"]
    value = req.params.get("partial", "false")
    if value not in ("true", "false"):
        faults.append({"parameter": "partial", "detail": "must be true or false"})
    if faults:
        raise invalid(HTTPStatus.BAD_REQUEST, faults)
    return bool(value == "true")


def _repeated(item: Mapping[str, Any], seen: set[str]) -> Faults:
    key = item.get("idempotencyKey")
    if key in seen:
        return [{"pointer": "/idempotencyKey", "detail": "is the key of an earlier item of this batch too"}]
    if key is not None:
        seen.add(key)
    return []


def _placed(faults: Faults, place: int) -> Faults:
    return [{**fault, "pointer": f"/items/{place}{fault['pointer']}"} for fault in faults[:MOST_FAULTS]]


def _faults(items: Any) -> Faults:
    """Return the faults of all items, up to one more than an answer lists."""
    found: Faults = []
    for place, item in enumerate(items):
        if isinstance(item, list):
            found += item
        elif isinstance(item, Refusal):
            found += _refused(item, place)
        if len(found) > MOST_FAULTS:
            break
    return found


def _refused(refusal: Refusal, place: int) -> Faults:
    return [{"pointer": f"/items/{place}/idempotencyKey", "detail": refusal.value}]


async def _shown(items: Any, partial: bool) -> list[dict[str, Any]]:
    breather = Breather()
    shown = []
    for place, item in enumerate(items):
        await breather.breathe()
        shown.append(_result(item, place) if partial else just_accepted(item.accepted, item.draft))
    return shown


def _result(item: Outcome | Faults, place: int) -> dict[str, Any]:
    if isinstance(item, Stored):
        notification = just_accepted(item.accepted, item.draft)
        return {"status": 201, "replayed": item.replayed, "notification": notification}
    return {"status": 422, "errors": _refused(item, place) if isinstance(item, Refusal) else item}


def _count_new(answer: Answer) -> int:
    return 0 if answer.replayed else sum(isinstance(item, Stored) and not item.replayed for item in answer.items)


def _log(answer: Answer) -> None:
    stored = [item.accepted.id for item in answer.items if isinstance(item, Stored)]
    event = "batch.replayed" if answer.replayed else "batch.accepted"
    log.info(event, items=len(answer.items), stored=len(stored), first=min(stored, default=None))
