"""Answers in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from falcon.asgi import Response


def write(resp: Response, body: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK) -> None:
    """A document; times with a Z."""
    resp.status = status.value
    resp.content_type = "application/json"
    resp.data = orjson.dumps(body, option=orjson.OPT_UTC_Z)


def empty(resp: Response) -> None:
    """204: done, and nothing to say."""
    resp.status = HTTPStatus.NO_CONTENT.value
    resp.content_type = None
