"""Serve /history: how notifications ended over the last hours or days."""

from __future__ import annotations

from urllib.parse import urlencode

from falcon.asgi import Request, Response

from api.access.auth import require
from api.dashboard import charts
from api.dashboard.page import show
from api.resources.history import DEFAULT_DIMENSION, DEFAULT_WINDOW, sees_all
from api.resources.history import History as ApiHistory
from api.store import NotificationStore
from db.history import WINDOWS
from db.history.dimensions import OF_ALL, OF_CLIENT

ALL = "all"


class History:
    """GET: totals, charts, and a table by the values of a dimension."""

    def __init__(self, store: NotificationStore) -> None:
        self._api = ApiHistory(store)

    async def on_get(self, req: Request, resp: Response) -> None:
        caller = require(req, "read")
        asked = {name: value for name, value in req.params.items() if value}
        together = sees_all(caller) and asked.pop("clients", "") == ALL
        if sees_all(caller) and not together:
            asked["clientId"] = str(caller.client_id)
        given, found = await self._api.read(req, asked)
        given |= {"clients": ALL} if together else {}
        show(
            *(req, resp, "history.html"),
            given=given,
            found=found,
            chart=charts.of_outcomes(found.points),
            times=charts.of_times(found.points),
            windows=list(WINDOWS),
            dimensions=[(name, name) for name in (OF_ALL if together else OF_CLIENT)],
            chooses_all=sees_all(caller),
            together=together,
            link=lambda **changed: _link({**given, **changed}),
        )

    on_head = on_get


def _link(wanted: dict[str, str]) -> str:
    """Return the address of the page for this window and dimension, without what is the default."""
    if wanted.get("clients") != ALL and wanted["by"] not in OF_CLIENT:
        wanted["by"] = DEFAULT_DIMENSION
    standard = {"window": DEFAULT_WINDOW, "by": DEFAULT_DIMENSION, "clients": ""}
    query = urlencode({name: value for name, value in wanted.items() if value != standard[name]})
    return f"/history?{query}" if query else "/history"
