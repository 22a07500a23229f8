"""Reads the JSON body of a request, within limits of bytes, time and depth."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

import orjson
from falcon.asgi import Request

from api.http.asgi import BODY, RESERVATION, WHOLE, Body, Truncated
from api.http.body_memory import SMALL, Reservation
from api.http.problems import Problem, invalid
from settings.http import HttpSettings

# The rest of the body is not read, so no other request can follow on the connection.
_LAST = {"Connection": "close"}
STRUCTURE = (b",", b"[", b"{")
MOST_VALUES = SMALL // 4
NESTING_LIMIT = 20  # levels of objects and arrays


async def read_json(req: Request, settings: HttpSettings) -> Any:
    """Return the body as Python values. It may have BODY_LIMIT bytes.

    Raises:
        Problem: the body is not JSON in UTF-8, is too large, too slow, or nested too deep.
        Full: the bodies of other requests take up BODIES_LIMIT.
    """
    media_type, _, parameters = (req.content_type or "").partition(";")
    if media_type.strip().lower() != "application/json" or not _is_utf8(parameters):
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send Content-Type: application/json, in UTF-8.")
    if req.get_header("Content-Encoding"):
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send the body uncompressed, without Content-Encoding.")
    return parse(await read(req, settings, settings.body_limit))


async def read_nothing(req: Request, settings: HttpSettings) -> None:
    """Raise a Problem unless the body is empty or {}, which some clients always send."""
    if (await read(req, settings, settings.body_limit)).strip() not in (b"", b"{}"):
        fault = {"pointer": "", "detail": "must be empty: this operation has no fields"}
        raise invalid(HTTPStatus.BAD_REQUEST, [fault])


def parse(body: bytes, nesting_limit: int = NESTING_LIMIT) -> Any:
    """Return JSON (RFC 8259) as Python values: no NaN, no lone surrogates, no invalid UTF-8.

    It may be nested up to `nesting_limit`. A body larger than SMALL may have at most MOST_VALUES values, counted as
    commas and brackets, including those within its texts.
    """
    if len(body) > SMALL and sum(map(body.count, STRUCTURE)) > MOST_VALUES:
        # A large body consists of a few long texts. Millions of values would block the event loop for seconds.
        detail = f"has more than {MOST_VALUES} values: send fewer, or smaller batches"
        raise invalid(HTTPStatus.BAD_REQUEST, [{"pointer": "", "detail": detail}])
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        detail = f"is not JSON in UTF-8: {error.msg} at line {error.lineno}, column {error.colno}"
        raise invalid(HTTPStatus.BAD_REQUEST, [{"pointer": "", "detail": detail}]) from None
    # A body with few brackets cannot be deep, wherever they are.
    if body.count(b"[") + body.count(b"{") > nesting_limit and _deeper_than(document, nesting_limit):
        detail = f"is nested more than {nesting_limit} levels deep"
        raise invalid(HTTPStatus.BAD_REQUEST, [{"pointer": "", "detail": detail}])
    return document


async def read(req: Request, settings: HttpSettings, limit: int) -> bytes:
    """Return a body of up to `limit` bytes; raise Problem or Full."""
    if (req.content_length or 0) > limit:
        raise _too_large(limit)
    reservation: Reservation = req.scope[RESERVATION]
    reservation.need(req.content_length or 0)
    try:
        if req.scope.get(WHOLE):  # Without a timer, which costs time.
            body = await _joined(req, limit)
        else:
            async with asyncio.timeout(settings.body_timeout):
                body = await _joined(req, limit)
    except (TimeoutError, Truncated):
        detail = f"The whole body did not arrive within {settings.body_timeout:g} seconds."
        raise Problem(HTTPStatus.REQUEST_TIMEOUT, detail, headers=_LAST) from None
    if len(body) > limit:
        raise _too_large(limit)
    req.context.body_size = len(body)
    return body


def body_size(req: Request) -> int:
    """Return the size in bytes of the body that was read."""
    size: int = req.context.body_size
    return size


async def _joined(req: Request, limit: int) -> bytes:
    """Return the body, or its beginning if it is longer than `limit`: up to one piece more than that."""
    coming: Body = req.scope[BODY]
    pieces, length = [], 0
    while not coming.over and length <= limit:
        pieces.append(piece := await coming.piece())
        length += len(piece)
        if length > SMALL:
            req.scope[RESERVATION].need(req.content_length or limit)  # A chunked body declares no length.
    return b"".join(pieces)


def _too_large(limit: int) -> Problem:
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body may have at most {limit} bytes.", headers=_LAST)


def _is_utf8(parameters: str) -> bool:
    name, _, value = parameters.strip().partition("=")
    return not name or (name.lower() == "charset" and value.strip('"').lower() in ("utf-8", "utf8"))


def _deeper_than(document: Any, levels: int) -> bool:
    # Empty containers hold nothing deeper, but count themselves on the last level.
    nested = [document] if isinstance(document, (dict, list)) else []
    for level in range(levels + 1):
        if not nested:
            return False
        last = level == levels - 1
        nested = [
            child
            for node in nested
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, (dict, list)) and (child or last)
        ]
    return True
