"""Events as they stand in a stream: WHATWG HTML, 9.2.5 and 9.2.6."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Any

import orjson
from falcon.asgi import Response

MEDIA_TYPE = "text/event-stream"
HEADERS = {
    "Cache-Control": "no-store",
    # nginx would collect what is to be read at once.
    "X-Accel-Buffering": "no",
}
SOONEST, LATEST = 1_000, 3_000  # milliseconds: then a client whose stream has ended comes back


def event(data: Any, id: int | None = None, type: str = "") -> bytes:
    """One event; without a `type` it is what a browser calls `message`. JSON has no line ends within."""
    named = f"event: {type}\n" if type else ""
    numbered = "" if id is None else f"id: {id}\n"
    return f"{named}{numbered}data: ".encode() + orjson.dumps(data, option=orjson.OPT_UTC_Z) + b"\n\n"


def beginning() -> bytes:
    """What comes first, at once: when to come back. Not all at the same moment, if all are sent away at once."""
    return f": notification-system\nretry: {random.randint(SOONEST, LATEST)}\n\n".encode()  # noqa: S311


def heartbeat(id: int | None) -> bytes:
    """No event, but the stream lives; and whoever comes back need not come back from further ago than this."""
    return b":\n\n" if id is None else f"id: {id}\n:\n\n".encode()


def answer(resp: Response, stream: AsyncIterator[bytes] | None = None) -> None:
    """The head of an answer of events, and where they come from."""
    resp.content_type = MEDIA_TYPE
    resp.set_headers(HEADERS)
    resp.stream = stream
