"""Serve /domains: the domains that the client's mails come from, and the DNS records that they need."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from falcon.asgi import Request, Response

from api.access.auth import require
from api.dashboard.page import done, refused, show
from api.http.problems import Problem
from api.resources import domains as api
from api.resources.domains import owned, shown
from api.store import NotificationStore
from db import domains


class Domains:
    """GET: the domains of the client. POST: add one."""

    def __init__(self, store: NotificationStore) -> None:
        self._store, self._api = store, api.Domains(store)

    async def on_get(self, req: Request, resp: Response) -> None:
        show(req, resp, "domains.html", domains=await self._listed(req), problem=None, given={})

    on_head = on_get

    async def on_post(self, req: Request, resp: Response) -> None:
        require(req, "manage")
        form = req.context.form
        document = {"domain": form.get("domain", "").strip(), "ed25519": "ed25519" in form}
        try:
            known, _ = await self._api.add(req, document)
        except Problem as problem:
            refused(req, resp, "domains.html", problem, domains=await self._listed(req), given=dict(form))
            return
        done(req, resp, f"/domains/{quote(known.domain.domain)}", "domain-added")

    async def _listed(self, req: Request) -> list[domains.Known]:
        found: list[domains.Known] = await self._store.read(domains.listed, require(req, "read").client_id)
        return found


class Domain:
    """GET: the records and keys of a domain. POST: check it, or rotate its keys."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store
        self._check, self._rotation = api.DomainCheck(store), api.DomainRotation(store)

    async def on_get(self, req: Request, resp: Response, domain: str) -> None:
        known = await owned(self._store, require(req, "read").client_id, domain)
        show(req, resp, "domain.html", **self._shown(known), problem=None)

    on_head = on_get

    async def on_post(self, req: Request, resp: Response, domain: str) -> None:
        caller = require(req, "manage")
        rotating = "rotate" in req.context.form
        try:
            await (self._rotation.rotate(req, domain) if rotating else self._check.check(req, domain))
        except Problem as problem:
            known = await owned(self._store, caller.client_id, domain)
            refused(req, resp, "domain.html", problem, **self._shown(known))
            return
        done(req, resp, f"/domains/{quote(domain)}", "domain-rotated" if rotating else "domain-checked")

    def _shown(self, known: domains.Known) -> dict[str, Any]:
        return {"domain": shown(self._store, known)}


class DomainRemoval:
    """GET: ask for confirmation. POST: remove the domain with its keys."""

    def __init__(self, store: NotificationStore) -> None:
        self._store, self._api = store, api.Domain(store)

    async def on_get(self, req: Request, resp: Response, domain: str) -> None:
        known = await owned(self._store, require(req, "manage").client_id, domain)
        show(req, resp, "domain_remove.html", name=known.domain.domain)

    on_head = on_get

    async def on_post(self, req: Request, resp: Response, domain: str) -> None:
        require(req, "manage")
        await self._api.remove(req, domain)
        done(req, resp, "/domains", "domain-removed")
