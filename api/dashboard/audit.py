"""Serve /audit: the audit log, newest first."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from falcon.asgi import Request, Response

from api.access.auth import require
from api.dashboard.page import show
from api.resources.audit import Audit as ApiAudit
from api.store import NotificationStore
from db.audit import ACTORS

FIELDS = ("act", "actor", "keyId")


class Audit:
    """GET: a page of the records that match the filters."""

    def __init__(self, store: NotificationStore) -> None:
        self._api = ApiAudit(store)

    async def on_get(self, req: Request, resp: Response) -> None:
        require(req, "manage")
        asked = {name: value for name, value in req.params.items() if value}
        page = await self._api.read(req, asked)
        filters = {name: value for name, value in asked.items() if name != "cursor"}
        show(
            *(req, resp, "audit.html"),
            records=[{**row, "by": _actor(row)} for row in page.rows],
            filled={name: str(filters.get(name, "")) for name in FIELDS},
            actors=ACTORS,
            first=_place(filters) if "cursor" in asked else None,
            next_place=_place({**filters, "cursor": page.cursor}) if page.cursor else None,
        )

    on_head = on_get


def _actor(row: dict[str, Any]) -> str:
    """Return who did it, such as "key 5" or "cli ann"."""
    who = row["key_id"] if row["actor"] == "key" else row["name"]
    return row["actor"] if who is None else f"{row['actor']} {who}"


def _place(query: dict[str, Any]) -> str:
    return f"/audit?{urlencode(query)}" if query else "/audit"
