"""Form of answers and paths: JSON in camelCase, ids as whole numbers."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from falcon.asgi import Response

from api.http.problems import Problem

# An answer in a terminal ends its line.
FORM = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE
LARGEST_ID = 2**63 - 1  # bigint
LARGEST_NUMBER = 2**31 - 1  # integer
_NAMES: dict[str, str] = {}


def write(resp: Response, body: Mapping[str, Any], status: HTTPStatus | None = None) -> None:
    """Set the body of an answer, with times in UTC and a Z; without `status`, keep the status that was set, or 200."""
    if status is not None:
        resp.status = status.value
    resp.content_type = "application/json"
    resp.data = orjson.dumps(body, option=FORM)


def empty(resp: Response) -> None:
    """Answer with 204 and no body."""
    resp.status = HTTPStatus.NO_CONTENT.value
    resp.content_type = None


def shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with its names in camelCase."""
    return {_NAMES.get(name) or _NAMES.setdefault(name, _camel(name)): value for name, value in row.items()}


def id_of(raw: str, kind: str, largest: int = LARGEST_ID) -> int:
    """Return the id in a path; raise the Problem that there is no such `kind` if it cannot be one."""
    if not (raw.isascii() and raw.isdecimal() and len(raw) < 20 and int(raw) <= largest):
        raise unknown(kind)
    return int(raw)


def unknown(kind: str) -> Problem:
    """Return the Problem 404. It does not tell whether the id is unknown or belongs to another client."""
    return Problem(HTTPStatus.NOT_FOUND, f"There is no {kind} with this id.")


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
