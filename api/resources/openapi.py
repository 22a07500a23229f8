"""/openapi.json: the API's contract, with the request schemas and limits that are enforced."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
from falcon.asgi import Request, Response

from api.http.idempotency import PROPERTY
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
        document = json.loads((Path(__file__).parents[1] / "schemas" / "openapi.json").read_text())
        if settings.path_prefix:
            document["servers"][0]["url"] = settings.path_prefix
        schemas = document["components"]["schemas"]
        for file in REQUESTS:
            schema = _of(Schema(file, settings))
            schemas[schema["title"]] = schema
        schemas["NewBatchItem"] = _of(Schema("notification", settings, {"idempotencyKey": PROPERTY}))
        schemas["NewBatchItem"]["title"] = "NewBatchItem"
        schemas["NewBatch"] = _batch(settings)
        _share_reason(schemas)
        self.document = orjson.dumps(document)

    async def on_get(self, _req: Request, resp: Response) -> None:
        resp.content_type = "application/json"
        resp.data = self.document

    on_head = on_get


def _batch(settings: Settings) -> dict[str, Any]:
    """Return the schema of a batch with that of its items, which batch.json lacks: items are checked one by one."""
    batch = _of(Schema("batch", settings))
    batch["properties"]["items"]["items"] = {"$ref": "#/components/schemas/NewBatchItem"}
    return batch


def _share_reason(schemas: dict[str, Any]) -> None:
    """Let the filter of a retry refer to FailureReason, so that generated clients have one enum for it."""
    fields = schemas["BulkRetry"]["properties"]["filter"]["properties"]
    reason = fields["failureReason"]
    refused = [one for one in schemas["FailureReason"]["enum"] if one not in reason["enum"]]
    fields["failureReason"] = {
        "description": reason["description"],
        "$ref": "#/components/schemas/FailureReason",
        "not": {"enum": refused},
    }


def _of(schema: Schema) -> dict[str, Any]:
    """Return a schema for the document, with its defaults in words.

    Code generators make a property with the keyword `default` a required one.
    """
    shown = {name: value for name, value in schema.document.items() if name != "$schema"}
    return {**shown, "properties": {name: _worded(field) for name, field in shown["properties"].items()}}


def _worded(field: dict[str, Any]) -> dict[str, Any]:
    if "default" not in field:
        return field
    default = orjson.dumps(field["default"]).decode().strip('"')
    about = f"{field['description']} Default: `{default}`."
    return {name: value for name, value in field.items() if name != "default"} | {"description": about}
