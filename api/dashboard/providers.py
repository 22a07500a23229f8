"""Serve /providers: the accounts through which notifications are sent. Operators disable, enable and weigh a
provider."""

from __future__ import annotations

from typing import Any

from falcon.asgi import Request, Response

from api.access.auth import require
from api.dashboard.forms import Form
from api.dashboard.page import done, refused, show
from api.http.answers import unknown
from api.http.problems import Problem
from api.resources import providers as api
from api.store import NotificationStore
from db import providers

DIGITS = 9  # of a weight that is read as a number


class Providers:
    """GET: the providers that the workers have reported."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response) -> None:
        require(req, "admin")
        show(req, resp, "providers.html", providers=await _listed(self._store), problem=None, given=None)

    on_head = on_get


class Provider:
    """GET: ask for confirmation. POST: disable or enable the provider, or set its weight."""

    def __init__(self, store: NotificationStore) -> None:
        self._store, self._api = store, api.Provider(store)

    async def on_get(self, req: Request, resp: Response, provider: str) -> None:
        require(req, "admin")
        enabled = {one.name: one.enabled for one, _ in await _listed(self._store)}
        if provider not in enabled:
            raise unknown("provider")
        others = [name for name, works in enabled.items() if works and name != provider]
        show(req, resp, "provider_disable.html", name=provider, others=others)

    on_head = on_get

    async def on_post(self, req: Request, resp: Response, provider: str) -> None:
        require(req, "admin")
        document, said = _wanted(req.context.form)
        try:
            await self._api.change(req, provider, document)
        except Problem as problem:
            given = (provider, req.context.form.get("weight", ""))
            refused(req, resp, "providers.html", problem, providers=await _listed(self._store), given=given)
            return
        done(req, resp, "/providers", said)


async def _listed(store: NotificationStore) -> list[providers.Known]:
    found: list[providers.Known] = await store.read(providers.listed, store.settings.delivery.worker_timeout)
    return found


def _wanted(form: Form) -> tuple[dict[str, Any], str]:
    """Return the document for the API, and the code of its message. An empty weight means that of the URL."""
    if "weight" in form:
        text = form["weight"].strip()
        number = int(text) if text.isascii() and text.isdecimal() and len(text) <= DIGITS else None
        return {"weight": number if number is not None else text or None}, "provider-weighed"
    wanted = form.get("enabled")
    if wanted in {"true", "false"}:
        return {"enabled": wanted == "true"}, "provider-enabled" if wanted == "true" else "provider-disabled"
    return {}, ""
