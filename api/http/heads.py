"""Checks of a request's head that the HTTP parser does not make."""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from functools import lru_cache
from http import HTTPStatus
from ipaddress import ip_address, ip_network
from typing import NamedTuple

Fields = Sequence[tuple[bytes, bytes]]

TARGET_LIMIT = 8_190  # bytes
FIELDS_LIMIT = 100
HEAD_LIMIT = 32_768  # bytes of the target and all fields

# Targets that uvicorn splits correctly: a path that does not begin with two slashes, and a query.
PLAIN_TARGET = re.compile(rb"/(?!/)[\x21-\x7e]*")
# Fields that make a request ambiguous if they occur twice (RFC 9110, 5.3).
SINGLE = (b"host", b"content-type")
PROXY_SCHEME = b"x-forwarded-proto"


class Fault(NamedTuple):
    """Status and reason with which a head is refused."""

    status: HTTPStatus
    detail: str


TARGET_TOO_LONG = Fault(HTTPStatus.REQUEST_URI_TOO_LONG, f"The request target may have at most {TARGET_LIMIT} bytes.")
HEAD_TOO_LARGE = Fault(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    f"A request may have at most {FIELDS_LIMIT} header fields, and {HEAD_LIMIT} bytes of them.",
)
MALFORMED = Fault(HTTPStatus.BAD_REQUEST, "This is not an HTTP/1.1 request (RFC 9112).")
BODY_TOO_LARGE = Fault(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Content-Length is too large for any request.")
NO_WEBSOCKET = Fault(HTTPStatus.FORBIDDEN, "WebSockets are not supported; /api/stream has server-sent events.")
NO_TUNNEL = Fault(HTTPStatus.NOT_IMPLEMENTED, "CONNECT is not supported: this server is not a proxy.")


def fault(target: bytes, fields: Fields, names: Set[bytes], *, large: bool) -> Fault | None:
    """Return why a head is refused, or None.

    `names` are the names of its fields; `large` is whether it may be above HEAD_LIMIT.
    """
    if len(target) > TARGET_LIMIT:
        return TARGET_TOO_LONG
    if len(fields) > FIELDS_LIMIT or (large and size(target, fields) > HEAD_LIMIT):
        return HEAD_TOO_LARGE
    if len(names) < len(fields):
        for name in SINGLE:
            if sum(field == name for field, _ in fields) > 1:
                return Fault(HTTPStatus.BAD_REQUEST, f"Send one {name.decode().title()} field, not several.")
    return None


def size(target: bytes, fields: Fields) -> int:
    """Return the number of bytes of a head, without its delimiters."""
    return len(target) + sum(len(name) + len(value) for name, value in fields)


def without_upgrade(method: bytes, target: bytes, version: str, fields: Fields) -> bytes:
    """Return the head of this request without its Upgrade field."""
    lines = [b"%b %b HTTP/%b" % (method, target, version.encode())]
    lines += [b"%b: %b" % field for field in fields if field[0] != b"upgrade"]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def is_https(fields: Fields) -> bool:
    """Return whether a proxy says that its client used HTTPS."""
    return any(name == PROXY_SCHEME and value.lower() == b"https" for name, value in fields)


@lru_cache(maxsize=1024)
def is_trusted(peer: str, allowed: tuple[str, ...]) -> bool:
    """Return whether the address `peer` is one of the addresses and networks of gunicorn's `forwarded_allow_ips`."""
    return "*" in allowed or any(ip_address(peer) in ip_network(one) for one in allowed)
