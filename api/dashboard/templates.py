"""Serve /templates: the templates of the client, and a preview."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import orjson
from falcon.asgi import Request, Response

from api.access.auth import require
from api.dashboard.forms import Form
from api.dashboard.framed import frame
from api.dashboard.page import refused, show
from api.http import bodies, pagination
from api.http.problems import Problem, invalid
from api.rendering.templating import Templating
from api.resources.templates import Preview as ApiPreview
from api.resources.templates import name_after, template_name, unknown_template
from api.store import NotificationStore
from db import templates

VERSIONS = 50  # how many of the newest can be chosen
EXAMPLE = "{\n}"


class Templates:
    """GET: the templates of the client by name."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response) -> None:
        caller = require(req, "read")
        query = pagination.parse(req.params, {"cursor": name_after})
        found = await self._store.read(templates.names, caller.client_id, query.after, query.limit + 1)
        page, more = found[: query.limit], len(found) > query.limit
        cursor = pagination.encoded(page[-1]["name"]) if more else None
        show(req, resp, "templates.html", templates=page, first=query.after is not None, next_cursor=cursor)

    on_head = on_get


class Template:
    """GET: the newest version. POST: a preview with variables; it stores and sends nothing."""

    def __init__(self, store: NotificationStore, templating: Templating) -> None:
        self._store, self._api = store, ApiPreview(store, templating)

    async def on_get(self, req: Request, resp: Response, name: str) -> None:
        shown = await self._shown(req, name)
        show(req, resp, "template.html", **shown, problem=None, given={"variables": EXAMPLE}, texts=None)

    on_head = on_get

    async def on_post(self, req: Request, resp: Response, name: str) -> None:
        shown, form = await self._shown(req, name), req.context.form
        try:
            number, texts = await self._api.texts(req, name, document(form))
        except Problem as problem:
            refused(req, resp, "template.html", problem, **shown, given=form, texts=None)
            return
        show(req, resp, "template.html", **shown, problem=None, given=form, texts=texts, number=number)

    async def _shown(self, req: Request, name: str) -> dict[str, Any]:
        caller = require(req, "read")
        found = await self._store.read(templates.versions, caller.client_id, template_name(name), None, VERSIONS)
        if not found:
            raise unknown_template()
        schema = found[0]["schema"]
        pretty = orjson.dumps(schema, option=orjson.OPT_INDENT_2).decode() if schema is not None else None
        return {"template": found[0], "schema": pretty, "versions": [row["version"] for row in found]}


class Rendered:
    """POST: the HTML of a preview, for a frame."""

    def __init__(self, store: NotificationStore, templating: Templating) -> None:
        self._api = ApiPreview(store, templating)

    async def on_post(self, req: Request, resp: Response, name: str) -> None:
        _, texts = await self._api.texts(req, name, document(req.context.form))
        frame(resp, texts.get("html"))


def document(form: Form) -> dict[str, Any]:
    """Return the document for the API; raise Problem if the variables are not JSON."""
    text = form.get("variables", "").strip()
    try:
        variables = bodies.parse(text.encode()) if text else {}
    except Problem as problem:
        faults = [{"pointer": "/variables", "detail": error["detail"]} for error in problem.errors]
        raise invalid(HTTPStatus.UNPROCESSABLE_ENTITY, faults) from None
    version = form.get("version", "")
    number = {"version": int(version)} if version.isascii() and version.isdecimal() and len(version) < 11 else {}
    return {"variables": variables, **number}
