"""/api/domains: the domains that a client's mails come from, their DKIM keys, and the DNS records that they need."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import orjson
from falcon.asgi import Request, Response

from actors.channels.email.domains import checking, keys
from actors.channels.email.domains.names import domain_fault, in_ascii
from actors.channels.email.domains.records import Envelope
from api.access.acts import by
from api.access.auth import require, with_live_key
from api.access.fair_gate import FairGate
from api.http import answers
from api.http.bodies import read_json, read_nothing
from api.http.problems import Problem, invalid
from api.resources import documents
from api.schemas import Schema
from api.store import NotificationStore
from db import acts, domains
from db.audit import recorded
from db.domain_keys import ALGORITHMS, NewKey
from db.domains import MOST, Known, TooMany
from runtime import logs
from settings import SettingsError
from settings.hosts import MAX_DOMAIN_NAME

log = logs.get("api")

PLACE = "/api/domains"
NO_MORE = "urn:notification-system:problem:too-many-domains"
CANNOT_KEEP = "urn:notification-system:problem:no-domain-secret"
CHECKS, CHECKS_WAITING = 20, 100  # checks at the same time in this process, and those that wait for their turn


class Domains:
    """POST: add a domain, and make its keys. GET: list the client's domains, by name."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store
        self._schema = Schema("domain", store.settings)

    async def on_post(self, req: Request, resp: Response) -> None:
        with_live_key(require(req, "manage"))
        known, new = await self.add(req, await read_json(req, self._store.settings.http))
        if new:
            resp.set_header("Location", f"{PLACE}/{quote(known.domain.domain)}")
        answers.write(resp, shown(self._store, known), HTTPStatus.CREATED if new else HTTPStatus.OK)

    async def add(self, req: Request, document: Any) -> tuple[Known, bool]:
        """Add a domain; return it and whether it is new. Raise Problem."""
        caller = with_live_key(require(req, "manage"))
        if faults := self._schema.faults(document):
            raise invalid(HTTPStatus.UNPROCESSABLE_ENTITY, faults)
        name = in_ascii(document["domain"])
        wanted = set(ALGORITHMS) if document.get("ed25519") else {"rsa"}
        there = await self._store.read(domains.find, caller.client_id, name)
        wanted -= {key.algorithm for key in there.keys} if there else set()
        new_keys = made(self._store, wanted)
        doing = recorded(by(req), acts.domain_added, domains.add)
        try:
            known, new = await self._store.read(doing, caller.client_id, name, new_keys)
        except TooMany:
            detail = f"This client has {MOST} domains, and no more are allowed: remove one first."
            raise Problem(HTTPStatus.CONFLICT, detail, type=NO_MORE) from None
        log.info("domain.added", domain=name, new=new)
        return known, new

    async def on_get(self, req: Request, resp: Response) -> None:
        found = await self._store.read(domains.listed, require(req, "read").client_id)
        answers.write(resp, {"items": [shown(self._store, known) for known in found]})

    on_head = on_get


class Domain:
    """GET: show a domain. DELETE: remove it with its keys, so that its mails are no longer signed."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response, domain: str) -> None:
        answers.write(resp, shown(self._store, await owned(self._store, require(req, "read").client_id, domain)))

    on_head = on_get

    async def on_delete(self, req: Request, resp: Response, domain: str) -> None:
        await self.remove(req, domain)
        answers.empty(resp)

    async def remove(self, req: Request, domain: str) -> None:
        """Remove a domain; raise Problem."""
        caller = with_live_key(require(req, "manage"))
        known = await owned(self._store, caller.client_id, domain)
        removed = await self._store.read(recorded(by(req), acts.domain_removed, domains.remove), known.domain.id)
        if removed is None:
            raise _unknown()
        log.info("domain.removed", domain=removed.domain)


class DomainCheck:
    """POST: ask DNS for the records of a domain now. Keys that it finds sign from the next minute on."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store
        self._gate = FairGate("domain checks", CHECKS, CHECKS_WAITING, divided=store.settings.http.auth != "off")

    async def on_post(self, req: Request, resp: Response, domain: str) -> None:
        with_live_key(require(req, "manage"))
        await read_nothing(req, self._store.settings.http)
        answers.write(resp, shown(self._store, await self.check(req, domain)))

    async def check(self, req: Request, domain: str) -> Known:
        """Check a domain, record what was found, and return the domain; raise Problem."""
        caller = with_live_key(require(req, "manage"))
        known = await owned(self._store, caller.client_id, domain)
        await self._gate.enter(caller.client_id)
        try:
            found = await checking.check(known, self._store.settings)
        finally:
            self._gate.leave(caller.client_id)
        after = await self._store.read(
            domains.record, known.domain.id, orjson.dumps(found.found).decode(), found.present, found.absent
        )
        if after is None:
            raise _unknown()
        log.info("domain.checked", domain=after.domain.domain, state=after.state)
        return after


class DomainRotation:
    """POST: make new keys, which replace the current ones once a check has found them in DNS."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_post(self, req: Request, resp: Response, domain: str) -> None:
        with_live_key(require(req, "manage"))
        await read_nothing(req, self._store.settings.http)
        answers.write(resp, shown(self._store, await self.rotate(req, domain)))

    async def rotate(self, req: Request, domain: str) -> Known:
        """Add new keys to a domain and return it; one that waits for its new keys stays as it is. Raise Problem."""
        caller = with_live_key(require(req, "manage"))
        known = await owned(self._store, caller.client_id, domain)
        if not (wanted := known.to_rotate):
            return known
        doing = recorded(by(req), acts.domain_rotated, domains.rotate)
        after = await self._store.read(doing, known.domain.id, made(self._store, wanted))
        if after is None:
            raise _unknown()
        log.info("domain.rotated", domain=after.domain.domain)
        return after


def shown(store: NotificationStore, known: Known) -> dict[str, Any]:
    """Return a domain as JSON."""
    return documents.domain(known, Envelope.of(store.settings))


def made(store: NotificationStore, algorithms: set[str]) -> list[NewKey]:
    """Make keys; raise Problem. It runs on the event loop, so that its time is charged to the client."""
    try:
        return keys.make(algorithms, store.settings.domains) if algorithms else []
    except SettingsError:
        detail = "This installation cannot keep keys: whoever runs it has to set DOMAIN_KEYS_SECRET."
        raise Problem(HTTPStatus.CONFLICT, detail, type=CANNOT_KEEP) from None


async def owned(store: NotificationStore, client_id: int, domain: str) -> Known:
    """Return the domain if it is the client's; otherwise raise a Problem."""
    if len(domain) > MAX_DOMAIN_NAME or domain_fault(domain):
        raise _unknown()
    known = await store.read(domains.find, client_id, in_ascii(domain))
    if known is None:
        raise _unknown()
    return known


def _unknown() -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, "This client has no such domain.")
