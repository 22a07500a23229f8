"""Serve /keys: the API keys of the client that is shown."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from falcon.asgi import Request, Response

from api.access.auth import Caller, require
from api.dashboard.forms import Form
from api.dashboard.page import done, refused, show
from api.http import pagination
from api.http.answers import id_of, unknown
from api.http.problems import Problem
from api.resources.keys import KIND, ClientKeys, KeyRotation
from api.resources.keys import Key as ApiKey
from api.store import NotificationStore
from db import keys
from db.secrets import KeyText

SCOPES = ("send", "read", "manage")  # Only the command line grants admin.


class Keys:
    """GET: the keys of the client. POST: create one; only this answer shows its text."""

    def __init__(self, store: NotificationStore) -> None:
        self._store, self._api = store, ClientKeys(store)

    async def on_get(self, req: Request, resp: Response) -> None:
        show(req, resp, "keys.html", **await self._listed(req), problem=None, given=Form([]))

    on_head = on_get

    async def on_post(self, req: Request, resp: Response) -> None:
        caller, form = require(req, "manage"), req.context.form
        try:
            made, secret = await self._api.make(req, str(caller.client_id), _document(form))
        except Problem as problem:
            refused(req, resp, "keys.html", problem, **await self._listed(req), given=form)
            return
        show(req, resp, "key_made.html", key=made, text=str(KeyText(made.id, made.sandbox, secret)), old=None)

    async def _listed(self, req: Request) -> dict[str, Any]:
        caller = require(req, "manage")
        query = pagination.parse_numbered(req.params)
        found = await self._store.read(keys.listed, caller.client_id, query.after, query.limit + 1)
        page = query.page([{**key._asdict(), "state": state(key)} for key in found])
        first = "/keys" if query.after else None
        return {"keys": page["items"], "first": first, "next_cursor": page["nextCursor"], "scopes": SCOPES}


class Revocation:
    """GET: ask for confirmation. POST: revoke the key; it stops working in every process within a second."""

    def __init__(self, store: NotificationStore) -> None:
        self._store, self._api = store, ApiKey(store)

    async def on_get(self, req: Request, resp: Response, key: str) -> None:
        show(req, resp, "key_revoke.html", key=await _key(self._store, req, key))

    on_head = on_get

    async def on_post(self, req: Request, resp: Response, key: str) -> None:
        revoked = await self._api.revoke(req, await _key(self._store, req, key))
        done(req, resp, "/keys", "key-revoked", revoked.id)


class Rotation:
    """GET: ask for confirmation. POST: create the new key; the old one still works for a day."""

    def __init__(self, store: NotificationStore) -> None:
        self._store, self._api = store, KeyRotation(store)

    async def on_get(self, req: Request, resp: Response, key: str) -> None:
        overlap = keys.OVERLAP
        show(req, resp, "key_rotate.html", key=await _key(self._store, req, key), overlap=overlap)

    on_head = on_get

    async def on_post(self, req: Request, resp: Response, key: str) -> None:
        old = await _key(self._store, req, key)
        made, secret = await self._api.rotate(req, old, {})
        show(req, resp, "key_made.html", key=made, text=str(KeyText(made.id, made.sandbox, secret)), old=old)


def state(key: keys.Key) -> str:
    """Return the state of the key: live, rotated, expired or revoked."""
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is not None and key.expires_at <= datetime.now(UTC):
        return "expired"
    return "live" if key.replaced_by is None else "rotated"


async def _key(store: NotificationStore, req: Request, raw: str) -> keys.Key:
    """Return a key of the client that is shown; raise Problem if there is none."""
    caller: Caller = require(req, "manage")
    found: keys.Key | None = await store.read(keys.one, id_of(raw, KIND))
    if found is None or found.client_id != caller.client_id:
        raise unknown(KIND)
    return found


def _document(form: Form) -> dict[str, Any]:
    """Return the document for the API."""
    document: dict[str, Any] = {"name": form.get("name", ""), "scopes": form.all("scope"), "sandbox": "sandbox" in form}
    if day := form.get("expires", ""):
        document["expiresAt"] = f"{day}T00:00:00Z"
    return document
