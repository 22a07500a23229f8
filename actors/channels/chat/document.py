"""Read documents of chat messages: checks beyond the schema, and the stored form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from actors.channels.chat.message import excess
from actors.channels.contract import Content, Fault, Read, Rights

KINDS = ("slack", "discord", "telegram", "teams", "apprise")  # of destinations
DATA_LIMIT = 65_536  # bytes of `data` as JSON


def read(document: Mapping[str, Any], _rights: Rights) -> Read:
    """Return the content of a message, or its faults."""
    data = orjson.dumps(document["data"]).decode() if "data" in document else None
    if data is not None and len(data.encode()) > DATA_LIMIT:
        return Read(None, [{"pointer": "/data", "detail": f"must have at most {DATA_LIMIT} bytes as JSON"}])
    if "recipient" not in document or "message" not in document:  # The schema has found faults.
        return Read(None, [])
    # As text, because jsonb would change the order of fields, and could not hold U+0000.
    options = {"data": data} if data is not None else None
    return Read(Content(document["recipient"], document.get("subject", ""), document["message"], None, options), [])


def faults_at(kind: str, content: Content) -> list[Fault]:
    """Return the faults of a message for a destination of this kind."""
    if kind not in KINDS:
        detail = f"is a destination of the kind {kind}: send to it with the type {kind}"
        return [{"pointer": "/recipient", "detail": detail}]
    too_long = excess(kind, content.subject, content.message)
    return [{"pointer": "/message", "detail": too_long}] if too_long else []


def shown(options: Mapping[str, Any] | None, _message: str = "") -> dict[str, Any]:
    """Return the fields that only chat messages have."""
    data = (options or {}).get("data")
    return {"data": orjson.loads(data) if data else None}
