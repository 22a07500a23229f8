"""/api/clients: the clients and their limits. It needs the scope admin."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from typing import Any

from falcon.asgi import Request, Response

from api.access.acts import by
from api.access.auth import require, with_live_key
from api.access.limits import Limits
from api.http import pagination
from api.http.answers import id_of, shown, unknown, write
from api.http.bodies import read_json
from api.http.problems import Problem, invalid
from api.resources import client_providers
from api.schemas import Schema
from api.store import NotificationStore
from db import acts, clients
from db.audit import recorded
from runtime import logs

log = logs.get("api")

KIND = "client"
_COLUMNS = {
    "rateLimit": "rate_limit",
    "dailyQuota": "daily_quota",
    "pendingLimit": "pending_limit",
    "phoneRegion": "phone_region",
}


class Clients:
    """POST: create a client. GET: list clients, oldest first."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store
        self._schema = Schema("client", store.settings)

    async def on_post(self, req: Request, resp: Response) -> None:
        with_live_key(require(req, "admin"))
        made = await self.make(req, await read_json(req, self._store.settings.http))
        resp.status = 201
        resp.set_header("Location", f"/api/clients/{made.id}")
        write(resp, shown(made._asdict()))

    async def make(self, req: Request, document: Any) -> clients.Client:
        """Create a client and return it; raise Problem."""
        with_live_key(require(req, "admin"))
        if faults := self._schema.faults(document):
            raise invalid(HTTPStatus.UNPROCESSABLE_ENTITY, faults)
        await client_providers.check(self._store, document)
        name = document.pop("name")
        made = await self._store.read(recorded(by(req), acts.client_created, clients.create), name, _limits(document))
        if made is None:
            raise Problem(HTTPStatus.CONFLICT, "A client with this `name` exists already: choose another name.")
        log.info("client.created", id=made.id)
        return made

    async def on_get(self, req: Request, resp: Response) -> None:
        require(req, "admin")
        query = pagination.parse_numbered(req.params)
        found = await self._store.read(clients.listed, query.after, query.limit + 1)
        write(resp, query.page([shown(client._asdict()) for client in found]))

    on_head = on_get


class Client:
    """GET: show a client and its limits. PATCH: change its limits, or disable it.

    A limit of null means the limit of the settings.
    """

    def __init__(self, store: NotificationStore, limits: Limits) -> None:
        self._store, self._limits = store, limits
        self._schema = Schema("client_changes", store.settings)

    async def on_get(self, req: Request, resp: Response, id: str) -> None:
        require(req, "admin")
        found = await self._store.read(clients.one, id_of(id, KIND))
        if found is None:
            raise unknown(KIND)
        use = await self._limits.use(self._limits.of(found))
        write(resp, {**shown(found._asdict()), "limits": use})

    on_head = on_get

    async def on_patch(self, req: Request, resp: Response, id: str) -> None:
        with_live_key(require(req, "admin"))
        changed = await self.change(req, id, await read_json(req, self._store.settings.http))
        write(resp, shown(changed._asdict()))

    async def change(self, req: Request, id: str, document: Any) -> clients.Client:
        """Change a client and return it; raise Problem."""
        with_live_key(require(req, "admin"))
        if faults := self._schema.faults(document):
            raise invalid(HTTPStatus.UNPROCESSABLE_ENTITY, faults)
        await client_providers.check(self._store, document)
        what, disabled = sorted(document), document.pop("disabled", None)
        doing = recorded(by(req), partial(acts.client_changed, _limits(document), disabled), clients.change)
        changed = await self._store.read(doing, id_of(id, KIND), _limits(document), disabled)
        if changed is None:
            raise unknown(KIND)
        log.info("client.changed", id=changed.id, what=what)
        return changed


def _limits(document: Mapping[str, Any]) -> dict[str, Any]:
    return {_COLUMNS.get(name, name): value for name, value in document.items()}
