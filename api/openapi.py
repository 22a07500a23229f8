"""/openapi.json: the contract, with the request schemas and limits that are really enforced."""

from __future__ import annotations

import json
from pathlib import Path

import orjson
from falcon.asgi import Request, Response

from api.schemas import Schema
from settings import Settings


class OpenApi:
    """GET: the OpenAPI 3.1 document of this API."""

    def __init__(self, settings: Settings) -> None:
        document = json.loads((Path(__file__).parent / "openapi.json").read_text())
        for name in ("notification", "template", "preview", "suppression"):
            new = {k: v for k, v in Schema(name, settings).document.items() if k != "$schema"}
            document["components"]["schemas"][new["title"]] = new
        self.document = orjson.dumps(document)

    async def on_get(self, _req: Request, resp: Response) -> None:
        resp.content_type = "application/json"
        resp.data = self.document

    on_head = on_get
