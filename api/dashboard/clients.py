"""Serve /clients: clients and their limits, for keys with the scope admin."""

from __future__ import annotations

from typing import Any

from falcon.asgi import Request, Response

from api.access.auth import require
from api.access.limits import Limits
from api.dashboard import charts
from api.dashboard.forms import Form
from api.dashboard.page import done, refused, show
from api.http import pagination
from api.http.answers import id_of, unknown
from api.http.problems import Problem
from api.resources import client_providers
from api.resources.clients import KIND
from api.resources.clients import Client as ApiClient
from api.resources.clients import Clients as ApiClients
from api.store import NotificationStore
from db import clients, history
from db.history import WINDOWS

# Form fields, named as in the API, and their columns.
LIMITS = {"rateLimit": "rate_limit", "dailyQuota": "daily_quota", "pendingLimit": "pending_limit"}


class Clients:
    """GET: all clients. POST: create one."""

    def __init__(self, store: NotificationStore) -> None:
        self._store, self._api = store, ApiClients(store)

    async def on_get(self, req: Request, resp: Response) -> None:
        show(req, resp, "clients.html", **await self._listed(req), problem=None, given={})

    on_head = on_get

    async def on_post(self, req: Request, resp: Response) -> None:
        form = req.context.form
        try:
            made = await self._api.make(req, {"name": form.get("name", "")})
        except Problem as problem:
            refused(req, resp, "clients.html", problem, **await self._listed(req), given=dict(form))
            return
        done(req, resp, f"/clients/{made.id}", "client-made")

    async def _listed(self, req: Request) -> dict[str, Any]:
        require(req, "admin")
        query = pagination.parse_numbered(req.params)
        found = await self._store.read(clients.listed, query.after, query.limit + 1)
        page = query.page([client._asdict() for client in found])
        return {
            "clients": page["items"],
            "first": "/clients" if query.after else None,
            "next_cursor": page["nextCursor"],
        }


class Client:
    """GET: a client with its limits and their use. POST: change the limits and senders."""

    def __init__(self, store: NotificationStore, limits: Limits) -> None:
        self._store, self._limits, self._api = store, limits, ApiClient(store, limits)

    async def on_get(self, req: Request, resp: Response, client: str) -> None:
        found = await one(self._store, req, client)
        show(req, resp, "client.html", **await self._shown(found), problem=None, given=_given(found))

    on_head = on_get

    async def on_post(self, req: Request, resp: Response, client: str) -> None:
        found, form = await one(self._store, req, client), req.context.form
        try:
            names = filter(None, (line.strip() for line in form.get("providers", "").splitlines()))
            document = _document(form) | {"providers": await client_providers.by_channel(self._store, names)}
            changed = await self._api.change(req, client, document)
        except Problem as problem:
            refused(req, resp, "client.html", problem, **await self._shown(found), given=dict(form))
            return
        done(req, resp, f"/clients/{changed.id}", "client-changed")

    async def _shown(self, client: clients.Client) -> dict[str, Any]:
        found = await self._store.read(history.read, client.id, WINDOWS["7d"], "type")
        use = await self._limits.use(self._limits.of(client))
        return {"client": client, "use": use, "found": found, "chart": charts.of_outcomes(found.points)}


class Disabling:
    """GET: ask for confirmation. POST: disable or enable the client."""

    def __init__(self, store: NotificationStore, limits: Limits) -> None:
        self._store, self._api = store, ApiClient(store, limits)

    async def on_get(self, req: Request, resp: Response, client: str) -> None:
        show(req, resp, "client_disable.html", client=await one(self._store, req, client))

    on_head = on_get

    async def on_post(self, req: Request, resp: Response, client: str) -> None:
        require(req, "admin")
        wanted = req.context.form.get("disabled") == "true"
        changed = await self._api.change(req, client, {"disabled": wanted})
        done(req, resp, f"/clients/{changed.id}", "client-disabled" if wanted else "client-enabled")


async def one(store: NotificationStore, req: Request, raw: str) -> clients.Client:
    """Return the client with this id; raise Problem if there is none."""
    require(req, "admin")
    found: clients.Client | None = await store.read(clients.one, id_of(raw, KIND))
    if found is None:
        raise unknown(KIND)
    return found


def _given(client: clients.Client) -> dict[str, str]:
    """Return the initial values of the form."""
    row = client._asdict()
    values = {field: "" if row[column] is None else str(row[column]) for field, column in LIMITS.items()}
    names = [name for several in (client.providers or {}).values() for name in several]
    lines = {"senders": "\n".join(client.senders), "providers": "\n".join(names)}
    return values | lines | {"phoneRegion": client.phone_region or ""}


def _document(form: Form) -> dict[str, Any]:
    """Return the document for the API. A limit that is not a number stays a text, so the API reports it."""
    limits = {field: _number(form.get(field, "").strip()) for field in LIMITS}
    senders = [line.strip() for line in form.get("senders", "").splitlines()]
    region = form.get("phoneRegion", "").strip() or None
    return {**limits, "senders": list(filter(None, senders)), "phoneRegion": region}


def _number(text: str) -> int | str | None:
    if not text:
        return None
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else text
