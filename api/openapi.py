"""/openapi.json: the API's contract, with the request schemas and limits that are enforced."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
from falcon.asgi import Request, Response

from api.idempotency import PROPERTY
from api.schemas import Schema
from settings import Settings

REQUESTS = (
    *("notification", "client", "client_changes", "key", "rotation", "reschedule", "retry"),
    *("template", "preview", "suppression", "erasure"),
    *("callback", "callback_changes"),
)


class OpenApi:
    """GET: the OpenAPI 3.1 document of this API."""

    def __init__(self, settings: Settings) -> None:
        document = json.loads((Path(__file__).parent / "openapi.json").read_text())
        if settings.path_prefix:
            document["servers"][0]["url"] = settings.path_prefix
        schemas = document["components"]["schemas"]
        for file in REQUESTS:
            schema = _of(Schema(file, settings))
            schemas[schema["title"]] = schema
        schemas["NewBatch"] = _batch(settings)
        self.document = orjson.dumps(document)

    async def on_get(self, _req: Request, resp: Response) -> None:
        resp.content_type = "application/json"
        resp.data = self.document

    on_head = on_get


def _batch(settings: Settings) -> dict[str, Any]:
    """Return the schema of a batch with that of its items, which batch.json lacks: items are checked one by one."""
    batch = _of(Schema("batch", settings))
    item = _of(Schema("notification", settings, {"idempotencyKey": PROPERTY}))
    batch["properties"]["items"]["items"] = {**item, "title": "NewBatchItem"}
    return batch


def _of(schema: Schema) -> dict[str, Any]:
    return {name: value for name, value in schema.document.items() if name != "$schema"}
