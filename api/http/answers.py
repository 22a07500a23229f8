"""What answers and paths look like: JSON in camelCase, ids as whole numbers."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from falcon.asgi import Response

from api.http.problems import Problem

LARGEST_ID = 2**63 - 1  # bigint
LARGEST_NUMBER = 2**31 - 1  # integer
_NAMES: dict[str, str] = {"lane": "priority"}


def write(resp: Response, body: Mapping[str, Any], status: HTTPStatus | None = None) -> None:
    """The body of an answer; times in UTC, with a Z. Without a `status` the one that was set stays, or 200."""
    if status is not None:
        resp.status = status.value
    resp.content_type = "application/json"
    resp.data = orjson.dumps(body, option=orjson.OPT_UTC_Z)


def empty(resp: Response) -> None:
    """204: done, and nothing to say."""
    resp.status = HTTPStatus.NO_CONTENT.value
    resp.content_type = None


def shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with its names in camelCase."""
    return {_NAMES.get(name) or _NAMES.setdefault(name, _camel(name)): value for name, value in row.items()}


def id_of(raw: str, kind: str, largest: int = LARGEST_ID) -> int:
    """The id in a path; raises the Problem that there is no such `kind`."""
    if not (raw.isascii() and raw.isdecimal() and len(raw) < 20 and int(raw) <= largest):
        raise unknown(kind)
    return int(raw)


def unknown(kind: str) -> Problem:
    """404, for what is not there and for what is another client's: nobody learns which of them."""
    return Problem(HTTPStatus.NOT_FOUND, f"There is no {kind} with this id.")


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
