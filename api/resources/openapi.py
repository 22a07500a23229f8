"""/openapi.json: the API's contract, with the request schemas and limits that are enforced."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
from falcon.asgi import Request, Response

from actors.channels.registry import channel
from api.http.idempotency import PROPERTY
from api.schemas import Schema, published
from api.schemas.documents import schema_of
from settings import Settings

REQUESTS = (
    *("client", "client_changes", "provider_changes", "key", "rotation", "reschedule", "retry"),
    *("template", "preview", "suppression", "domain", "erasure"),
    *("callback", "callback_changes", "destination", "destination_changes"),
)


class OpenApi:
    """GET: the OpenAPI 3.1 document of this API."""

    def __init__(self, settings: Settings) -> None:
        document = json.loads((Path(__file__).parents[1] / "schemas" / "openapi.json").read_text())
        if settings.public.path_prefix:
            document["servers"][0]["url"] = settings.public.path_prefix
        schemas = document["components"]["schemas"]
        for file in REQUESTS:
            published.add(Schema(file, settings).document, schemas)
        published.add(Schema(schema_of(channel("email")), settings).document, schemas)
        for schema in _batch(settings):
            published.add(schema, schemas)
        self.document = orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)

    async def on_get(self, _req: Request, resp: Response) -> None:
        resp.content_type = "application/json"
        resp.data = self.document

    on_head = on_get


def _batch(settings: Settings) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the schemas of a batch and of its items, which batch.json lacks: items are checked one by one."""
    item = Schema(schema_of(channel("email"), {"idempotencyKey": PROPERTY}), settings).document
    batch = Schema("batch", settings).document
    batch["properties"]["items"]["items"] = {"$ref": "#/components/schemas/BatchItemInput"}
    return {**item, "title": "BatchItemInput"}, batch
