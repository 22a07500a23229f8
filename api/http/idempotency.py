"""The header Idempotency-Key (draft-ietf-httpapi-idempotency-key-header-07), and what a request stands for."""

from __future__ import annotations

import hashlib
import re
from http import HTTPStatus

import orjson
from falcon.asgi import Request, Response

from api.http.problems import RETRY_AFTER, Problem, invalid
from db.idempotency import Key, Refusal

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
LONGEST = 255
_FOR_TESTS = "\x01"  # no client's key can begin with it
PROPERTY = {
    "description": "Makes it safe to repeat: the same key and item again show the notification that there is already.",
    "type": "string",
    "minLength": 1,
    "maxLength": LONGEST,
    "format": "key",
}
# A string of RFC 8941, 3.3.3, as the draft has it; most send the key without quotes.
_QUOTED = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_PLAIN = re.compile(r"[\x20\x21\x23-\x7e][\x20-\x7e]*")


def key_of(req: Request) -> str | None:
    """The key that the request came with, if any; raises Problem 400 for one that cannot be taken."""
    raw = req.get_header(HEADER)
    if raw is None:
        return None
    key = raw
    if quoted := _QUOTED.fullmatch(raw):
        key = re.sub(r"\\(.)", r"\1", quoted[1])
    elif not _PLAIN.fullmatch(raw):
        key = ""
    if not 1 <= len(key) <= LONGEST:
        detail = f"must have 1 to {LONGEST} printable ASCII characters, in quotes or without"
        raise invalid(HTTPStatus.BAD_REQUEST, [{"header": HEADER, "detail": detail}])
    return key


def digest(document: object) -> bytes:
    """SHA-256 of a JSON document, whatever the order of its fields."""
    return hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).digest()


def keyed(key: str | None, document: object, *, sandbox: bool) -> Key | None:
    """The key with what it stands for. What a test has sent must never answer for what goes out."""
    return None if key is None else Key(f"{_FOR_TESTS}{key}" if sandbox else key, digest(document))


def refused(refusal: Refusal, place: dict[str, str]) -> Problem:
    """The key that the request or an item came with, at `place`, cannot be used for it."""
    errors = [{**place, "detail": refusal.value}]
    if refusal is not Refusal.BUSY:
        return invalid(HTTPStatus.UNPROCESSABLE_ENTITY, errors)
    detail = "The key is in use by a request that is not answered yet. Try again after the seconds in Retry-After."
    return Problem(HTTPStatus.CONFLICT, detail, errors=errors, headers={"Retry-After": RETRY_AFTER})


def say_replayed(resp: Response) -> None:
    """The answer is that of an earlier request."""
    resp.set_header(REPLAYED, "true")
