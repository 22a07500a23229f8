"""/api/templates: the client's templates, their versions, and previews."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Any

import orjson
from falcon.asgi import Request, Response

from api.access.acts import by
from api.access.auth import require, with_live_key
from api.http import answers, operations, pagination
from api.http.bodies import read_json
from api.http.pagination import Wrong
from api.http.problems import Problem, invalid
from api.rendering.templating import Templating
from api.resources import documents
from api.schemas import TEMPLATE_NAME, Schema
from api.store import NotificationStore
from db import acts, templates
from db.audit import recorded
from db.templates import Content
from runtime import logs

log = logs.get("api")

LARGEST_VERSION = 2**31 - 1  # integer
PLACE = "/api/templates"
SCHEMA_LIMIT = 65_536  # bytes of the JSON Schema of a template
VERSIONS_LIMIT = 10_000  # versions of all templates of a client together


class Templates:
    """GET: list the client's templates by name."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response) -> None:
        caller = require(req, "read")
        query = pagination.parse(req.params, {"cursor": name_after})
        found = await self._store.read(templates.names, caller.client_id, query.after, query.limit + 1)
        page = found[: query.limit]
        more = len(found) > query.limit
        items = [{"name": row["name"], "version": row["version"], "createdAt": row["created_at"]} for row in page]
        answers.write(resp, {"items": items, "nextCursor": pagination.encoded(page[-1]["name"]) if more else None})

    on_head = on_get


class Template:
    """PUT: store a new version. GET: show the newest version. DELETE: delete all versions."""

    def __init__(self, store: NotificationStore, templating: Templating) -> None:
        self._store, self._templating = store, templating
        self._schema = Schema("template", store.settings)

    async def on_put(self, req: Request, resp: Response, name: str) -> None:
        caller = with_live_key(require(req, "manage"))
        document = await read_json(req, self._store.settings.http)
        if faults := _name_faults(name) + self._schema.faults(document) + self._size_faults(document):
            raise invalid(HTTPStatus.UNPROCESSABLE_ENTITY, faults)
        content = Content(document["subject"], document["text"], document.get("html"), document.get("schema"))
        await self._templating.check(caller.client_id, content)
        try:
            doing = recorded(by(req), partial(acts.template_stored, caller.client_id), templates.put)
            row, made = await self._store.read(doing, caller.client_id, name, content, VERSIONS_LIMIT)
        except templates.TooMany:
            raise Problem(
                HTTPStatus.CONFLICT,
                f"This client has {VERSIONS_LIMIT} versions of templates already: delete unused templates.",
            ) from None
        self._templating.forget(caller.client_id, name)
        if made:
            log.info("template.stored", template=name, version=row["version"])
            resp.set_header("Location", f"{PLACE}/{name}/versions/{row['version']}")
        answers.write(resp, documents.template(row), HTTPStatus.CREATED if made else HTTPStatus.OK)

    async def on_get(self, req: Request, resp: Response, name: str) -> None:
        caller = require(req, "read")
        row = await self._store.read(templates.newest, caller.client_id, template_name(name))
        if row is None:
            raise unknown_template()
        answers.write(resp, documents.template(row))

    on_head = on_get

    async def on_delete(self, req: Request, resp: Response, name: str) -> None:
        caller = with_live_key(require(req, "manage"))
        doing = recorded(
            by(req), partial(acts.template_deleted, caller.client_id, template_name(name)), templates.delete
        )
        if not await self._store.read(doing, caller.client_id, name):
            raise unknown_template()
        self._templating.forget(caller.client_id, name)
        log.info("template.deleted", template=name)
        answers.empty(resp)

    def _size_faults(self, document: Any) -> list[dict[str, str]]:
        schema = document.get("schema") if isinstance(document, dict) else None
        if schema is None or len(orjson.dumps(schema)) <= SCHEMA_LIMIT:
            return []
        return [{"pointer": "/schema", "detail": f"must have at most {SCHEMA_LIMIT} bytes"}]


class Versions:
    """GET: list the versions of a template, newest first."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response, name: str) -> None:
        caller = require(req, "read")
        query = pagination.parse(req.params, {"cursor": _version_before})
        found = await self._store.read(
            templates.versions, caller.client_id, template_name(name), query.after, query.limit + 1
        )
        if not found and query.after is None:
            raise unknown_template()
        page = found[: query.limit]
        more = len(found) > query.limit
        cursor = pagination.encoded(str(page[-1]["version"])) if more else None
        answers.write(resp, {"items": [documents.template(row) for row in page], "nextCursor": cursor})

    on_head = on_get


class Version:
    """GET: show one version."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response, name: str, version: str) -> None:
        caller = require(req, "read")
        try:
            number = pagination.number(version, LARGEST_VERSION)
        except Wrong:
            raise unknown_template() from None
        row = await self._store.read(templates.version, caller.client_id, template_name(name), number)
        if row is None:
            raise unknown_template()
        answers.write(resp, documents.template(row))

    on_head = on_get


class Preview:
    """POST: render a template with these variables; nothing is stored or sent."""

    def __init__(self, store: NotificationStore, templating: Templating) -> None:
        self._store, self._templating = store, templating
        self._schema = Schema("preview", store.settings)

    async def on_post(self, req: Request, resp: Response, name: str) -> None:
        require(req, "read")
        operations.mark_reading(req)
        number, texts = await self.texts(req, name, await read_json(req, self._store.settings.http))
        template = {"name": name, "version": number}
        answers.write(resp, {"template": template, "html": None, **texts})

    async def texts(self, req: Request, name: str, document: Any) -> tuple[int, dict[str, Any]]:
        """Return the number of the version and the rendered texts; raise Problem."""
        caller = require(req, "read")
        if faults := self._schema.faults(document):
            raise invalid(HTTPStatus.UNPROCESSABLE_ENTITY, faults)
        return await self._templating.preview(
            caller.client_id, template_name(name), document.get("version"), document.get("variables", {})
        )


def template_name(name: str) -> str:
    """Return the name if it is valid; otherwise raise Problem."""
    if not TEMPLATE_NAME.fullmatch(name):
        raise unknown_template()
    return name


def _name_faults(name: str) -> list[dict[str, str]]:
    if TEMPLATE_NAME.fullmatch(name):
        return []
    detail = "must have 1 to 100 of a-z A-Z 0-9 . _ -, and begin with a letter or digit"
    return [{"parameter": "name", "detail": detail}]


def unknown_template() -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, "There is no template with this name, or it has no such version.")


def name_after(raw: str) -> str:
    name = pagination.decoded(raw)
    if not TEMPLATE_NAME.fullmatch(name):
        raise Wrong(pagination.NOT_OURS)
    return name


def _version_before(raw: str) -> int:
    try:
        return pagination.number(pagination.decoded(raw), LARGEST_VERSION)
    except Wrong:
        raise Wrong(pagination.NOT_OURS) from None
