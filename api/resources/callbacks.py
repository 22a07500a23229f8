"""/api/callbacks: a client's endpoints, which are called when its notifications become final.

An endpoint's secret is shown only in the answer that creates it.
"""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Any

from falcon.asgi import Request, Response

from actors.channels.webhook.signature import new_secret
from actors.channels.webhook.url_guard import Target, UrlRejected
from api.access.acts import by
from api.access.auth import require, with_live_key
from api.http.answers import id_of, unknown, write
from api.http.bodies import read_json, read_nothing
from api.http.problems import Problem, invalid
from api.resources.documents import endpoint
from api.schemas import Schema
from api.store import NotificationStore
from db import acts, callbacks
from db.audit import recorded
from db.callbacks import New, Row
from db.models import FINAL
from runtime import logs
from settings import Settings

log = logs.get("api")

OVERLAP = 86_400.0  # seconds for which the old secret also signs after a rotation

KIND = "callback endpoint"
NO_MORE = "urn:notification-system:problem:too-many-endpoints"


class Callbacks:
    """POST: register an endpoint. GET: list the client's endpoints, oldest first."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store
        self._schema = Schema("callback", store.settings)

    async def on_post(self, req: Request, resp: Response) -> None:
        caller = with_live_key(require(req, "manage"))
        settings = self._store.settings
        wanted = await _checked(req, self._schema, settings)
        description, events = wanted.get("description", ""), wanted.get("events", list(FINAL))
        new = New(caller.client_id, wanted["url"], description, events, new_secret())
        doing = recorded(by(req), partial(acts.callback, "created", caller.client_id, list(wanted)), callbacks.create)
        made = await self._store.read(doing, new, settings.callbacks.endpoints)
        if made is None:
            most = settings.callbacks.endpoints
            detail = f"This client has {most} endpoints already (CALLBACK_ENDPOINTS): delete one first."
            raise Problem(HTTPStatus.CONFLICT, detail, type=NO_MORE)
        log.info("callback.created", endpoint=made["id"])
        resp.status = 201
        resp.set_header("Location", f"/api/callbacks/{made['id']}")
        write(resp, {**endpoint(made), "secret": new.secret})

    async def on_get(self, req: Request, resp: Response) -> None:
        found = await self._store.read(callbacks.listed, require(req, "manage").client_id)
        write(resp, {"items": [endpoint(row) for row in found]})

    on_head = on_get


class Callback:
    """GET: show an endpoint. PATCH: change it. DELETE: delete it."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store
        self._schema = Schema("callback_changes", store.settings)

    async def on_get(self, req: Request, resp: Response, id: str) -> None:
        write(resp, endpoint(await owned(self._store, req, id)))

    on_head = on_get

    async def on_patch(self, req: Request, resp: Response, id: str) -> None:
        with_live_key(require(req, "manage"))
        changes = await _checked(req, self._schema, self._store.settings)
        write(resp, endpoint(await self.change(req, id, changes)))

    async def change(self, req: Request, id: str, changes: dict[str, Any]) -> Row:
        """Make checked changes of an endpoint and return it; raise Problem."""
        caller = with_live_key(require(req, "manage"))
        doing = recorded(by(req), partial(acts.callback, "changed", caller.client_id, list(changes)), callbacks.change)
        changed = await self._store.read(doing, caller.client_id, id_of(id, KIND), changes)
        if changed is None:
            raise unknown(KIND)
        log.info("callback.changed", endpoint=changed["id"], fields=sorted(changes))
        return changed

    async def on_delete(self, req: Request, resp: Response, id: str) -> None:
        caller = with_live_key(require(req, "manage"))
        await read_nothing(req, self._store.settings.http)
        doing = recorded(by(req), partial(acts.callback, "deleted", caller.client_id, ()), callbacks.delete)
        deleted = await self._store.read(doing, caller.client_id, id_of(id, KIND))
        if deleted is None:
            raise unknown(KIND)
        log.info("callback.deleted", endpoint=deleted["id"])
        write(resp, endpoint(deleted))


class Rotation:
    """POST: create a new secret. For a day callbacks are signed with the old one too."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_post(self, req: Request, resp: Response, id: str) -> None:
        caller, secret = with_live_key(require(req, "manage")), new_secret()
        await read_nothing(req, self._store.settings.http)
        doing = recorded(by(req), partial(acts.callback, "rotated", caller.client_id, ()), callbacks.rotate)
        rotated = await self._store.read(doing, caller.client_id, id_of(id, KIND), secret, OVERLAP)
        if rotated is None:
            raise unknown(KIND)
        log.info("callback.rotated", endpoint=rotated["id"])
        write(resp, {**endpoint(rotated), "secret": secret})


async def owned(store: NotificationStore, req: Request, id: str) -> Row:
    """Return the endpoint if it is the caller's; otherwise raise a Problem."""
    row = await store.read(callbacks.endpoint, require(req, "manage").client_id, id_of(id, KIND))
    if row is None:
        raise unknown(KIND)
    return row


async def _checked(req: Request, schema: Schema, settings: Settings) -> dict[str, Any]:
    document: Any = await read_json(req, settings.http)
    faults = schema.faults(document)
    url = document.get("url") if isinstance(document, dict) else None
    if isinstance(url, str):
        try:
            Target.parse(url, settings.callbacks.networks)
        except UrlRejected as rejected:
            faults.append({"pointer": "/url", "detail": str(rejected)})
    if faults:
        raise invalid(HTTPStatus.UNPROCESSABLE_ENTITY, faults)
    wanted: dict[str, Any] = document
    if set(wanted.get("events", ())) & set(callbacks.OF_PROVIDERS):
        require(req, "admin")
    return wanted
