"""/api/providers: the accounts through which notifications are sent. It needs the scope admin."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from falcon.asgi import Request, Response

from api.access.acts import by
from api.access.auth import require, with_live_key
from api.http.answers import shown, write
from api.http.bodies import read_json
from api.http.problems import Problem, invalid
from api.schemas import Schema
from api.store import NotificationStore
from db import acts, providers
from db.audit import recorded
from db.providers import Use
from runtime import logs

log = logs.get("api")


class Providers:
    """GET: list the providers that the workers have reported, by name."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response) -> None:
        require(req, "admin")
        found = await self._store.read(providers.listed, self._store.settings.delivery.worker_timeout)
        write(resp, {"items": [_shown(*one) for one in found]})

    on_head = on_get


class Provider:
    """PATCH: switch a provider on or off, or set its weight."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store
        self._schema = Schema("provider_changes", store.settings)

    async def on_patch(self, req: Request, resp: Response, provider: str) -> None:
        with_live_key(require(req, "admin"))
        await self.change(req, provider, await read_json(req, self._store.settings.http))
        found = await self._store.read(providers.listed, self._store.settings.delivery.worker_timeout)
        write(resp, next(_shown(*one) for one in found if one[0].name == provider))

    async def change(self, req: Request, provider: str, document: Any) -> None:
        """Change a provider; raise Problem."""
        with_live_key(require(req, "admin"))
        if faults := self._schema.faults(document):
            raise invalid(HTTPStatus.UNPROCESSABLE_ENTITY, faults)
        doing = recorded(by(req), acts.provider_changed, providers.change)
        if await self._store.read(doing, provider, document) is None:
            raise Problem(HTTPStatus.NOT_FOUND, "There is no such provider; GET /api/providers lists them.")
        log.warning("provider.changed", provider=provider, **document)


def _shown(one: providers.Provider, use: Use) -> dict[str, Any]:
    """Return a provider as JSON. The weight of operators hides that of the URL."""
    config = {name: one.config.get(name) for name in ("priority", "weight", "connections", "rate")}
    return {
        "name": one.name,
        "channel": one.channel,
        "enabled": one.enabled,
        **config,
        "weight": one.weight_in_force,
        **shown({"down_since": one.opened_at}),
        "reason": one.reason if one.opened_at else None,
        "refusedDomains": list(one.refused_domains),
        "daily": one.config.get("daily"),
        "dailyUsed": one.daily_used if one.config.get("daily") else None,
        **shown({"daily_free_at": one.exhausted_until, "silent_since": one.silent_since}),
        "workers": use.workers,
        "attempts": dict(use.attempts),
        "success": use.success,
    }
