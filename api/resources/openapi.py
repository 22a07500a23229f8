"""/openapi.json: the API's contract, with the request schemas and limits that are enforced."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from falcon.asgi import Request, Response

from actors.channels.registry import channels
from api.http.idempotency import PROPERTY
from api.schemas import Schema, published, stored
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
        _add_documents("NotificationInput", settings, schemas)
        _add_documents("BatchItemInput", settings, schemas, {"idempotencyKey": PROPERTY})
        published.add(_batch(settings), schemas)
        self.document = orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)

    async def on_get(self, _req: Request, resp: Response) -> None:
        resp.content_type = "application/json"
        resp.data = self.document

    on_head = on_get


def _add_documents(
    title: str, settings: Settings, schemas: dict[str, Any], more: Mapping[str, Any] | None = None
) -> None:
    """Add the schemas of documents, one for each channel, and their union, in which `type` decides."""
    types, mapping = stored("notification")["properties"]["type"], {}
    schemas[types["title"]] = {**types, "enum": list(channels())}
    for name, one in channels().items():
        schema = Schema(schema_of(one, more), settings).document
        own = f"{name.title().replace('-', '')}{title}"
        kind = {"description": types["description"], "type": "string", "enum": [name]}
        published.add({**schema, "title": own, "properties": {**schema["properties"], "type": kind}}, schemas)
        mapping[name] = f"#/components/schemas/{own}"
    schemas[title] = {
        "title": title,
        "description": "A notification to send; `type` is its channel.",
        "oneOf": [{"$ref": place} for place in mapping.values()],
        "discriminator": {"propertyName": "type", "mapping": mapping},
    }


def _batch(settings: Settings) -> dict[str, Any]:
    """Return the schema of a batch with that of its items, which batch.json lacks: items are checked one by one."""
    batch = Schema("batch", settings).document
    batch["properties"]["items"]["items"] = {"$ref": "#/components/schemas/BatchItemInput"}
    return batch
