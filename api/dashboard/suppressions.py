"""Serve /suppressions: the suppression list of the client."""

from __future__ import annotations

from typing import Any

from falcon.asgi import Request, Response

from api.access.auth import require
from api.dashboard.page import done, refused, show
from api.http import pagination
from api.http.problems import Problem
from api.resources.suppressions import PARSERS, cursor
from api.resources.suppressions import Suppression as ApiSuppression
from api.resources.suppressions import Suppressions as ApiSuppressions
from api.store import NotificationStore
from db import suppressions
from db.models import REASONS


class Suppressions:
    """GET: the list, newest first. POST: add an address."""

    def __init__(self, store: NotificationStore) -> None:
        self._store, self._api = store, ApiSuppressions(store)

    async def on_get(self, req: Request, resp: Response) -> None:
        show(req, resp, "suppressions.html", **await self._listed(req), problem=None, given={})

    on_head = on_get

    async def on_post(self, req: Request, resp: Response) -> None:
        require(req, "manage")
        form = req.context.form
        try:
            _, new = await self._api.add(req, {"address": form.get("address", "").strip()})
        except Problem as problem:
            refused(req, resp, "suppressions.html", problem, **await self._listed(req), given=dict(form))
            return
        done(req, resp, "/suppressions", "suppressed" if new else "suppressed-before")

    async def _listed(self, req: Request) -> dict[str, Any]:
        caller = require(req, "read")
        # The filter form sends an empty value for "any".
        given = {name: value for name, value in req.params.items() if value}
        query = pagination.parse(given, PARSERS)
        found = await self._store.read(
            suppressions.newest, caller.client_id, query.filters, query.after, query.limit + 1
        )
        page, more = found[: query.limit], len(found) > query.limit
        return {
            "entries": page,
            "reasons": REASONS,
            "reason": query.filters.get("reason", ""),
            "first": query.after is not None,
            "next_cursor": cursor(page[-1]) if more else None,
        }


class Removal:
    """POST: ask for confirmation; POST with `sure`: remove the address from the list.

    The address is not in the path, because paths end up in browser histories and proxy logs.
    """

    def __init__(self, store: NotificationStore) -> None:
        self._api = ApiSuppression(store)

    async def on_post(self, req: Request, resp: Response) -> None:
        require(req, "manage")
        form = req.context.form
        address = form.get("address", "")
        if "sure" not in form:
            show(req, resp, "suppression_remove.html", address=address)
            return
        await self._api.remove(req, address)
        done(req, resp, "/suppressions", "unsuppressed")
