"""Read documents of webhooks: checks beyond the schema, and the stored form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from actors.channels.contract import Content, Fault, Read, Rights

KIND = "webhook"  # of destinations
PAYLOAD_LIMIT = 262_144  # bytes of `payload` as JSON


def read(document: Mapping[str, Any], _rights: Rights) -> Read:
    """Return the content of a webhook, or its faults. Its text is the payload, its subject the event."""
    if "payload" not in document:  # The schema has found that.
        return Read(None, [])
    payload = orjson.dumps(document["payload"])
    if len(payload) > PAYLOAD_LIMIT:
        return Read(None, [{"pointer": "/payload", "detail": f"must have at most {PAYLOAD_LIMIT} bytes as JSON"}])
    if "recipient" not in document:
        return Read(None, [])
    return Read(Content(document["recipient"], document.get("event", ""), payload.decode()), [])


def faults_at(kind: str, _content: Content) -> list[Fault]:
    """Return the faults of a webhook for a destination of this kind."""
    if kind == KIND:
        return []
    detail = f"is a destination of the kind {kind}: send to it with the type chat"
    return [{"pointer": "/recipient", "detail": detail}]


def shown(_options: Mapping[str, Any] | None, message: str = "") -> dict[str, Any]:
    """Return the fields that only webhooks have. An erased one has no payload."""
    return {"payload": orjson.loads(message) if message else None}
