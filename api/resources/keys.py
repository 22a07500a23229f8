"""Keys: /api/clients/{id}/keys and /api/keys/{id}. A key's secret is shown only in the answer that creates it.

A key with the scope admin manages the keys of every client. A key with the scope manage manages those of its own
client, and can neither create nor rotate a key with scopes that it lacks. No key creates one that expires later than
itself. A sandbox key manages only sandbox keys of its own client, whatever its scopes.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Any

from falcon.asgi import Request, Response

from api.access.acts import by
from api.access.auth import Caller, forbidden, require
from api.http import pagination
from api.http.answers import id_of, shown, unknown, write
from api.http.bodies import read_json
from api.http.problems import Problem, invalid
from api.schemas import Schema
from api.store import NotificationStore
from db import acts, clients, keys, secrets
from db.audit import recorded
from db.keys import Grant
from db.keys import Key as Row
from db.secrets import KeyText
from runtime import logs

log = logs.get("api")

KIND = "key"
ADMIN = "admin"
NO_MORE = "urn:notification-system:problem:too-many-keys"


class ClientKeys:
    """POST: create a key. GET: list the keys of a client, oldest first, without their secrets."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store
        self._schema = Schema("key", store.settings)

    async def on_post(self, req: Request, resp: Response, id: str) -> None:
        _client(req, id)
        _write_new(resp, *await self.make(req, id, await read_json(req, self._store.settings.http)))

    async def make(self, req: Request, id: str, document: Any) -> tuple[Row, str]:
        """Create a key of this client; return it with its secret, which cannot be shown again. Raise Problem."""
        client, caller = _client(req, id)
        if faults := self._schema.faults(document):
            raise invalid(HTTPStatus.UNPROCESSABLE_ENTITY, faults)
        grant = _grant(document)
        _check_power(caller, client, frozenset(grant.scopes), sandbox=grant.sandbox)
        end = await _end(self._store, caller)
        if end is not None and grant.expires_at is not None and grant.expires_at > end:
            fault = {
                "pointer": "/expiresAt",
                "detail": f"must not be after {end:%Y-%m-%dT%H:%M:%SZ}, when the key of this request expires",
            }
            raise invalid(HTTPStatus.UNPROCESSABLE_ENTITY, [fault])
        secret = secrets.new()
        doing = recorded(by(req), acts.key_created, keys.create)
        try:
            made = await self._store.read(doing, client, secrets.digest(secret), grant, caller.key_id)
        except keys.TooMany:
            raise _too_many("Revoke an unused one first.") from None
        if made is None:
            raise await self._why_not(client)
        log.info("key.created", id=made.id, of=client, scopes=made.scopes)
        return made, secret

    async def on_get(self, req: Request, resp: Response, id: str) -> None:
        client, _ = _client(req, id)
        query = pagination.parse_numbered(req.params)
        found = await self._store.read(keys.listed, client, query.after, query.limit + 1)
        if not found and await self._store.read(clients.one, client) is None:
            raise unknown("client")
        write(resp, query.page([shown(key._asdict()) for key in found]))

    on_head = on_get

    async def _why_not(self, client: int) -> Problem:
        if await self._store.read(clients.one, client) is None:
            return unknown("client")
        return invalid(HTTPStatus.UNPROCESSABLE_ENTITY, [{"pointer": "/expiresAt", "detail": "must be in the future"}])


class Key:
    """GET: show a key, without its secret. DELETE: revoke it; it stops working everywhere within a second."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response, id: str) -> None:
        found, _ = await _key(self._store, req, id)
        write(resp, shown(found._asdict()))

    on_head = on_get

    async def on_delete(self, req: Request, resp: Response, id: str) -> None:
        found, _ = await _key(self._store, req, id)
        write(resp, shown((await self.revoke(req, found))._asdict()))

    async def revoke(self, req: Request, found: Row) -> Row:
        """Revoke a key that the caller may manage, and return it; raise Problem."""
        caller: Caller = req.context.caller
        # Only admin keys may revoke admin keys.
        _check_power(caller, found.client_id, frozenset(found.scopes) & {ADMIN} - caller.scopes, sandbox=found.sandbox)
        revoked = await self._store.read(recorded(by(req), acts.key_revoked, keys.revoke), found.id)
        if revoked is not None:
            log.info("key.revoked", id=found.id, of=found.client_id)
        return revoked or await self._store.read(keys.one, found.id) or found


class KeyRotation:
    """POST: create a successor with the same scopes; the old key keeps working for a while."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store
        self._schema = Schema("rotation", store.settings)

    async def on_post(self, req: Request, resp: Response, id: str) -> None:
        found, _ = await _key(self._store, req, id)
        bodiless = not (req.content_type or req.content_length or req.get_header("Transfer-Encoding"))
        document = {} if bodiless else await read_json(req, self._store.settings.http)
        _write_new(resp, *await self.rotate(req, found, document))

    async def rotate(self, req: Request, found: Row, document: Any) -> tuple[Row, str]:
        """Create the successor of a key that the caller may manage; return it with its secret. Raise Problem."""
        caller: Caller = req.context.caller
        if faults := self._schema.faults(document):
            raise invalid(HTTPStatus.UNPROCESSABLE_ENTITY, faults)
        _check_power(caller, found.client_id, frozenset(found.scopes), sandbox=found.sandbox)
        await self._check_end(caller, found)
        secret, overlap = secrets.new(), document.get("overlap", keys.OVERLAP)
        doing = recorded(by(req), partial(acts.key_rotated, found.id), keys.rotate)
        try:
            successor = await self._store.read(doing, found.id, secrets.digest(secret), overlap, caller.key_id)
        except keys.TooMany:
            raise _too_many('Revoke an unused one first, or rotate with "overlap": 0.') from None
        if successor is None:
            detail = "This key is revoked, has expired, or was rotated already: create a new one."
            raise Problem(HTTPStatus.CONFLICT, detail)
        log.info("key.rotated", id=found.id, successor=successor.id, of=found.client_id)
        return successor, secret

    async def _check_end(self, caller: Caller, found: Row) -> None:
        """Raise a Problem if the successor would expire after the caller's key.

        A key that rotates itself keeps its expiry.
        """
        end = await _end(self._store, caller)
        if end is None or found.id == caller.key_id:
            return
        lasts = None if found.expires_at is None else datetime.now(UTC) + (found.expires_at - found.created_at)
        if lasts is None or lasts > end:
            when = f"{end:%Y-%m-%dT%H:%M:%SZ}"
            detail = f"The key of this request expires at {when}, before the successor would: "
            raise forbidden(detail + "rotate with one that lasts longer.")


async def _end(store: NotificationStore, caller: Caller) -> datetime | None:
    """Return when the caller's own key expires, or None if it does not."""
    maker = None if caller.key_id is None else await store.read(keys.one, caller.key_id)
    return maker and maker.expires_at


def _client(req: Request, raw: str) -> tuple[int, Caller]:
    """Return the client of the path, and the caller; raise a Problem if the caller may not manage its keys."""
    caller: Caller = req.context.caller
    if ADMIN in caller.scopes:
        return id_of(raw, "client"), caller
    caller = require(req, "manage")
    if id_of(raw, "client") != caller.client_id:
        raise unknown("client")
    return caller.client_id, caller


async def _key(store: NotificationStore, req: Request, raw: str) -> tuple[Row, Caller]:
    """Return the key of the path, and the caller; raise a Problem if the caller may not manage it."""
    caller: Caller = req.context.caller
    if ADMIN not in caller.scopes:
        require(req, "manage")
    found: Row | None = await store.read(keys.one, id_of(raw, KIND))
    if found is None or (ADMIN not in caller.scopes and found.client_id != caller.client_id):
        raise unknown(KIND)
    return found, caller


def _check_power(caller: Caller, of: int, scopes: frozenset[str], *, sandbox: bool) -> None:
    """Raise a Problem unless the caller may manage a key of the client `of` with these scopes."""
    if ADMIN in scopes:
        raise forbidden("Keys with the scope 'admin' are created and rotated on the command line only: `notify keys`.")
    lacking = scopes - caller.scopes
    if lacking and ADMIN not in caller.scopes:
        detail = f"This key cannot grant the scope {min(lacking)!r}, which it does not have itself."
        raise forbidden(detail, min(lacking))
    if caller.sandbox and not sandbox:
        raise forbidden("This key is for the sandbox and manages only such keys: set `sandbox` to true.")
    # A key with the scope read shows live notifications too.
    if caller.sandbox and of != caller.client_id:
        raise forbidden("This key is for the sandbox and manages only keys of its own client.")


def _grant(document: dict[str, Any]) -> Grant:
    expires = document.get("expiresAt")
    return Grant(
        document["name"],
        document["scopes"],
        document.get("sandbox", False),
        pagination.time(expires) if expires else None,
    )


def _too_many(remedy: str) -> Problem:
    detail = f"A client may have at most {keys.MOST_LIVE:,} keys that work, and this one has as many. {remedy}"
    return Problem(HTTPStatus.CONFLICT, detail, type=NO_MORE)


def _write_new(resp: Response, key: Row, secret: str) -> None:
    resp.status = 201
    resp.set_header("Location", f"/api/keys/{key.id}")
    write(resp, {**shown(key._asdict()), "key": str(KeyText(key.id, key.sandbox, secret))})
