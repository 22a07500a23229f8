"""Reading the JSON body of a request: bounded in bytes, in time and in depth."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

import orjson
from falcon.asgi import Request

from api.http.asgi import BODY, RESERVATION, WHOLE, Body, Truncated
from api.http.body_memory import SMALL, Reservation
from api.http.problems import Problem, invalid
from settings import Settings

# What is left of the body is not read, so nothing can follow it.
_LAST = {"Connection": "close"}
STRUCTURE = (b",", b"[", b"{")
MOST_VALUES = SMALL // 4


async def read_json(req: Request, settings: Settings, limit: int | None = None) -> Any:
    """The body as Python values; raises Problem for whatever a client can get wrong about it.

    It may have `limit` bytes, or else BODY_LIMIT.

    Raises:
        Full: other large bodies have taken BODIES_LIMIT.
    """
    media_type, _, parameters = (req.content_type or "").partition(";")
    if media_type.strip().lower() != "application/json" or not _is_utf8(parameters):
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send Content-Type: application/json, in UTF-8.")
    if req.get_header("Content-Encoding"):
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send the body without Content-Encoding.")
    return parse(await read(req, settings, limit or settings.body_limit), settings.nesting_limit)


async def read_nothing(req: Request, settings: Settings) -> None:
    """Make sure that there is no body; an empty object, which some clients cannot help sending, is none."""
    if (await read(req, settings, settings.body_limit)).strip() not in (b"", b"{}"):
        raise invalid(HTTPStatus.BAD_REQUEST, [{"pointer": "", "detail": "must be empty: this takes no fields"}])


def parse(body: bytes, nesting_limit: int) -> Any:
    """JSON as RFC 8259 has it: no NaN, no lone surrogates, no bad UTF-8; nested within `nesting_limit`.

    A body larger than SMALL has at most MOST_VALUES values, or so many commas and brackets in its texts.
    """
    if len(body) > SMALL and sum(map(body.count, STRUCTURE)) > MOST_VALUES:
        # What is large is so for the sake of a few long texts; millions of values would keep the loop for seconds.
        raise invalid(HTTPStatus.BAD_REQUEST, [{"pointer": "", "detail": "has too many values"}])
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        detail = f"is not JSON in UTF-8: {error.msg} at line {error.lineno}, column {error.colno}"
        raise invalid(HTTPStatus.BAD_REQUEST, [{"pointer": "", "detail": detail}]) from None
    # A body with few brackets, be they in its texts, cannot be deep.
    if body.count(b"[") + body.count(b"{") > nesting_limit and _deeper_than(document, nesting_limit):
        detail = f"is nested more than {nesting_limit} deep"
        raise invalid(HTTPStatus.BAD_REQUEST, [{"pointer": "", "detail": detail}])
    return document


async def read(req: Request, settings: Settings, limit: int) -> bytes:
    """The body, whatever it is, of up to `limit` bytes; raises Problem, Full."""
    if (req.content_length or 0) > limit:
        raise _too_large(limit)
    reservation: Reservation = req.scope[RESERVATION]
    reservation.need(req.content_length or 0)
    try:
        if req.scope.get(WHOLE):  # There is nothing to wait for.
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
    """The size in bytes of a body that was read."""
    size: int = req.context.body_size
    return size


async def _joined(req: Request, limit: int) -> bytes:
    """The body, up to a piece more than `limit`."""
    coming: Body = req.scope[BODY]
    pieces, length = [], 0
    while not coming.over and length <= limit:
        pieces.append(piece := await coming.piece())
        length += len(piece)
        if length > SMALL:
            req.scope[RESERVATION].need(req.content_length or limit)  # One that comes in chunks does not say.
    return b"".join(pieces)


def _too_large(limit: int) -> Problem:
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body may have at most {limit} bytes.", headers=_LAST)


def _is_utf8(parameters: str) -> bool:
    name, _, value = parameters.strip().partition("=")
    return not name or (name.lower() == "charset" and value.strip('"').lower() in ("utf-8", "utf8"))


def _deeper_than(document: Any, levels: int) -> bool:
    # What is empty holds nothing deeper; a level that is too deep may itself be empty.
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
