"""/api/erasures: removes the content of all notifications to one address, and keeps their counts."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from falcon.asgi import Request, Response

from actors.channels.addresses import normalised
from api.access.acts import by
from api.access.auth import require, with_live_key
from api.http import answers
from api.http.answers import id_of, unknown
from api.http.bodies import read_json
from api.http.problems import invalid
from api.resources import documents
from api.schemas import Schema
from api.store import NotificationStore
from db import audit, erasures
from runtime import logs

log = logs.get("api")

KIND = "erasure"
PLACE = "/api/erasures"
WAIT = 2.0  # seconds that POST works before it answers; the workers do the rest


class Erasures:
    """POST: erase what the client has sent to an address until now. Workers finish an erasure that takes long."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store
        self._schema = Schema("erasure", store.settings)

    async def on_post(self, req: Request, resp: Response) -> None:
        caller = with_live_key(require(req, "manage"))
        document = await read_json(req, self._store.settings.http)
        if faults := self._schema.faults(document):
            raise invalid(HTTPStatus.UNPROCESSABLE_ENTITY, faults)
        address, who = normalised(document["recipient"]), by(req)
        id = await self._store.read(erasures.begin, caller.client_id, address, who)
        log.info("erasure.requested", id=id, recipient=audit.mark(address))
        await self._work(id, who)
        row = await self._store.read(erasures.one, caller.client_id, id)
        if row is None:
            raise unknown(KIND)
        resp.set_header("Location", f"{PLACE}/{id}")
        answers.write(resp, documents.erasure(row), HTTPStatus.ACCEPTED if row["done_at"] is None else HTTPStatus.OK)

    async def _work(self, id: int, who: audit.By) -> None:
        """Erase for up to WAIT seconds."""
        settings, now = self._store.settings, asyncio.get_running_loop().time
        until = now() + WAIT
        while now() < until and await self._store.read(erasures.step, id, settings.retention.erasure_batch, who):
            pass
        await self._store.read(erasures.give_back, id, 0)


class Erasure:
    """GET: show the progress of an erasure."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response, id: str) -> None:
        owner = require(req, "manage").client_id
        row = await self._store.read(erasures.one, owner, id_of(id, KIND))
        if row is None:
            raise unknown(KIND)
        answers.write(resp, documents.erasure(row))

    on_head = on_get
