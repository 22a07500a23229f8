"""/openapi.json: the API's contract, with the request schemas and limits that are enforced."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson
from falcon.asgi import Request, Response

from actors.channels.registry import channels
from api.http.idempotency import PROPERTY
from api.schemas import published, with_limits
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
        schemas["NotificationType"]["enum"] = list(channels())
        for file in REQUESTS:
            published.add(with_limits(file, settings), schemas)
        published.add(_document("NotificationInput", settings), schemas)
        published.add(_document("BatchItemInput", settings, {"idempotencyKey": PROPERTY}), schemas)
        published.add(_batch(settings), schemas)
        published.name_examples(document)
        self.document = orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)

    async def on_get(self, _req: Request, resp: Response) -> None:
        resp.content_type = "application/json"
        resp.data = self.document

    on_head = on_get


def _document(title: str, settings: Settings, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the schema of a document with the fields of all channels.

    It is one object and no `oneOf`, for which some generators need further libraries. A field that channels describe
    differently has no limits here.
    """
    each = {name: with_limits(schema_of(one, more), settings) for name, one in channels().items()}
    fields: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for name, schema in each.items():
        for field, described in schema["properties"].items():
            fields[field][name] = described
    return {
        "title": title,
        "description": "A notification to send. `type` is its channel, and decides which other fields it may have.",
        "type": "object",
        "required": ["type", "recipient"],
        "additionalProperties": False,
        "properties": {field: _field(by_channel, len(each)) for field, by_channel in fields.items()},
        "examples": [example for schema in each.values() for example in schema["examples"]],
    }


def _field(by_channel: Mapping[str, dict[str, Any]], channels: int) -> dict[str, Any]:
    """Return a field that these channels have."""
    described = list(by_channel.values())
    if all(one == described[0] for one in described):
        only = "" if len(described) == channels else f"For {_named(by_channel)}: "
        return {**described[0], "description": only + described[0]["description"]}
    about = " ".join(f"For {_named([name])}: {one['description']}" for name, one in by_channel.items())
    kinds = {one["type"] for one in described}
    return {"description": about, **({"type": kinds.pop()} if len(kinds) == 1 else {})}


def _named(channels: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in channels)


def _batch(settings: Settings) -> dict[str, Any]:
    """Return the schema of a batch with that of its items, which batch.json lacks: items are checked one by one."""
    batch = with_limits("batch", settings)
    batch["properties"]["items"]["items"] = {"$ref": "#/components/schemas/BatchItemInput"}
    return batch
