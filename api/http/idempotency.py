"""The header Idempotency-Key (draft-ietf-httpapi-idempotency-key-header-07)."""

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
_FOR_TESTS = "\x01"  # prefix that no key of a client can have
PROPERTY = {
    "description": "Makes a repetition safe: the same key and item return the notification that exists already.",
    "type": "string",
    "minLength": 1,
    "maxLength": LONGEST,
    "format": "key",
}
# The draft wants a string of RFC 8941, 3.3.3; most clients send the key without quotes.
_QUOTED = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_PLAIN = re.compile(r"[\x20\x21\x23-\x7e][\x20-\x7e]*")


def key_of(req: Request) -> str | None:
    """Return the key of a request, None without the header; raise Problem 400 if it is malformed."""
    raw = req.get_header(HEADER)
    if raw is None:
        return None
    key = raw
    if quoted := _QUOTED.fullmatch(raw):
        key = re.sub(r"\\(.)", r"\1", quoted[1])
    elif not _PLAIN.fullmatch(raw):
        key = ""
    if not 1 <= len(key) <= LONGEST:
        detail = f"must have 1 to {LONGEST} printable ASCII characters, with or without quotes"
        raise invalid(HTTPStatus.BAD_REQUEST, [{"header": HEADER, "detail": detail}])
    return key


def digest(document: object) -> bytes:
    """Return the SHA-256 of a JSON document, independent of the order of its fields."""
    return hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).digest()


def keyed(key: str | None, document: object, *, sandbox: bool) -> Key | None:
    """Return the key with the digest of its document. Keys of the sandbox are kept apart from live ones."""
    return None if key is None else Key(f"{_FOR_TESTS}{key}" if sandbox else key, digest(document))


def refused(refusal: Refusal, place: dict[str, str]) -> Problem:
    """Return the Problem for a key, at `place`, that cannot be used for this request or item."""
    errors = [{**place, "detail": refusal.value}]
    if refusal is not Refusal.BUSY:
        return invalid(HTTPStatus.UNPROCESSABLE_ENTITY, errors)
    detail = "Another request with this key is not answered yet."
    return Problem(HTTPStatus.CONFLICT, detail, errors=errors, headers={"Retry-After": RETRY_AFTER})


def say_replayed(resp: Response) -> None:
    """Mark an answer as that of an earlier request."""
    resp.set_header(REPLAYED, "true")
