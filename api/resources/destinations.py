"""/api/destinations: the client's named places for chat messages and webhooks.

URLs and tokens are never shown. The secret of a webhook is shown only in the answer that creates it.
"""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Any

from falcon.asgi import Request, Response

from actors.channels.webhook.signature import new_secret
from api.access.acts import by
from api.access.auth import require, with_live_key
from api.http import pagination
from api.http.answers import empty, write
from api.http.bodies import read_json, read_nothing
from api.http.problems import Problem, invalid
from api.resources.callbacks import OVERLAP
from api.resources.documents import destination
from api.resources.templates import name_after
from api.schemas import Fault, Schema
from api.schemas.destinations import TELEGRAM_URL, WEBHOOK, changes_faults, new_faults
from api.store import NotificationStore
from db import acts, destinations
from db.audit import recorded
from db.destinations import NameTaken, New, Row, TooMany
from runtime import logs

log = logs.get("api")

LIMIT = 1_000  # destinations of a client
NO_MORE = "urn:notification-system:problem:too-many-destinations"


class Destinations:
    """POST: create a destination. GET: list the client's destinations by name."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store
        self._schema = Schema("destination", store.settings)

    async def on_post(self, req: Request, resp: Response) -> None:
        caller = with_live_key(require(req, "manage"))
        document: Any = await read_json(req, self._store.settings.http)
        _raise(self._schema.faults(document) or new_faults(document, self._store.settings))
        new = _new(caller.client_id, document)
        told = partial(acts.destination, "created", caller.client_id, list(document))
        try:
            made = await self._store.read(recorded(by(req), told, destinations.create), new, LIMIT)
        except NameTaken:
            detail = f"This client has a destination named {new.name} already: change it with PATCH, or delete it."
            raise Problem(HTTPStatus.CONFLICT, detail) from None
        except TooMany:
            detail = f"This client has {LIMIT} destinations already: delete one first."
            raise Problem(HTTPStatus.CONFLICT, detail, type=NO_MORE) from None
        log.info("destination.created", destination=new.name, kind=new.kind)
        resp.set_header("Location", f"/api/destinations/{new.name}")
        write(resp, _with_secret(made, new.secret), HTTPStatus.CREATED)

    async def on_get(self, req: Request, resp: Response) -> None:
        caller = require(req, "manage")
        query = pagination.parse(req.params, {"cursor": name_after})
        found = await self._store.read(destinations.listed, caller.client_id, query.after, query.limit + 1)
        page = found[: query.limit]
        cursor = pagination.encoded(page[-1]["name"]) if len(found) > query.limit else None
        write(resp, {"items": [destination(row) for row in page], "nextCursor": cursor})

    on_head = on_get


class Destination:
    """GET: show a destination. PATCH: change it. DELETE: delete it."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store
        self._schema = Schema("destination_changes", store.settings)

    async def on_get(self, req: Request, resp: Response, name: str) -> None:
        write(resp, destination(await owned(self._store, req, name)))

    on_head = on_get

    async def on_patch(self, req: Request, resp: Response, name: str) -> None:
        caller = with_live_key(require(req, "manage"))
        document: Any = await read_json(req, self._store.settings.http)
        _raise(self._schema.faults(document))
        row = await owned(self._store, req, name)
        _raise(changes_faults(row["kind"], document, self._store.settings))
        told = partial(acts.destination, "changed", caller.client_id, list(document))
        doing = recorded(by(req), told, destinations.change)
        changes = {_COLUMNS.get(name, name): value for name, value in document.items()}
        changed = await self._store.read(doing, caller.client_id, row["name"], row["kind"], changes)
        if changed is None:
            raise unknown_destination()
        log.info("destination.changed", destination=row["name"], fields=sorted(document))
        write(resp, destination(changed))

    async def on_delete(self, req: Request, resp: Response, name: str) -> None:
        with_live_key(require(req, "manage"))
        await read_nothing(req, self._store.settings.http)
        await self.delete(req, name)
        empty(resp)

    async def delete(self, req: Request, name: str) -> None:
        """Delete a destination; raise Problem."""
        caller = with_live_key(require(req, "manage"))
        told = partial(acts.destination, "deleted", caller.client_id, ())
        doing = recorded(by(req), told, destinations.delete)
        if "\0" in name or await self._store.read(doing, caller.client_id, name) is None:
            raise unknown_destination()
        log.info("destination.deleted", destination=name)


class DestinationRotation:
    """POST: create a new secret for a webhook. For a day requests are signed with the old one too."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_post(self, req: Request, resp: Response, name: str) -> None:
        caller, secret = with_live_key(require(req, "manage")), new_secret()
        await read_nothing(req, self._store.settings.http)
        row = await owned(self._store, req, name)
        if row["kind"] != WEBHOOK:
            detail = f"A destination of the kind {row['kind']} has no secret of ours: only webhooks are signed."
            raise Problem(HTTPStatus.CONFLICT, detail)
        told = partial(acts.destination, "rotated", caller.client_id, ())
        doing = recorded(by(req), told, destinations.rotate)
        rotated = await self._store.read(doing, caller.client_id, row["name"], secret, OVERLAP)
        if rotated is None:
            raise unknown_destination()
        log.info("destination.rotated", destination=row["name"])
        write(resp, _with_secret(rotated, secret))


async def owned(store: NotificationStore, req: Request, name: str) -> Row:
    """Return the caller's destination of this name; otherwise raise a Problem."""
    caller = require(req, "manage")
    row = None if "\0" in name else await store.read(destinations.find, caller.client_id, name)
    if row is None:
        raise unknown_destination()
    return row


def unknown_destination() -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, "There is no destination with this name.")


_COLUMNS = {"chatId": "chat_id"}


def _new(client_id: int, document: dict[str, Any]) -> New:
    kind = document["kind"]
    return New(
        client_id,
        document["name"],
        kind,
        document.get("url", TELEGRAM_URL),
        document.get("description", ""),
        document.get("token"),
        document.get("chatId"),
        new_secret() if kind == WEBHOOK else None,
    )


def _raise(faults: list[Fault]) -> None:
    if faults:
        raise invalid(HTTPStatus.UNPROCESSABLE_ENTITY, faults)


def _with_secret(row: Row, secret: str | None) -> dict[str, Any]:
    return {**destination(row), "secret": secret}
