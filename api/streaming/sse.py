"""Format of server-sent events (WHATWG HTML, 9.2.5 and 9.2.6)."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Any

import orjson
from falcon.asgi import Response

MEDIA_TYPE = "text/event-stream"
HEADERS = {
    "Cache-Control": "no-store",
    # Keeps nginx from buffering events.
    "X-Accel-Buffering": "no",
}
SOONEST, LATEST = 1_000, 3_000  # milliseconds after which a client reconnects


def event(data: Any, id: int | None = None, type: str = "") -> bytes:
    """Return one event; browsers call one without a `type` a `message`. JSON never contains line breaks here."""
    named = f"event: {type}\n" if type else ""
    numbered = "" if id is None else f"id: {id}\n"
    return f"{named}{numbered}data: ".encode() + orjson.dumps(data, option=orjson.OPT_UTC_Z) + b"\n\n"


def beginning() -> bytes:
    """Return the first bytes of a stream. Their reconnection time is random, so that not all clients come at once."""
    return f": notification-system\nretry: {random.randint(SOONEST, LATEST)}\n\n".encode()  # noqa: S311


def heartbeat(id: int | None) -> bytes:
    """Return a comment that keeps the connection alive, with an id from which a client can resume."""
    return b":\n\n" if id is None else f"id: {id}\n:\n\n".encode()


def answer(resp: Response, stream: AsyncIterator[bytes] | None = None) -> None:
    """Set the headers of an event stream, and the stream itself."""
    resp.content_type = MEDIA_TYPE
    resp.set_headers(HEADERS)
    resp.stream = stream
