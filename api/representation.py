"""Notifications as JSON, and their ids in paths."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from falcon.asgi import Response

from api.problems import Problem
from db.records import Accepted, Draft

LARGEST_ID = 2**63 - 1  # bigint


def just_accepted(accepted: Accepted, draft: Draft) -> dict[str, Any]:
    """What GET would show at the moment it was accepted, without asking."""
    return {
        "id": accepted.id,
        **shown(draft._asdict()),
        "status": "pending",
        "attemptCount": 0,
        "retryCount": 0,
        "lastError": None,
        "failureReason": None,
        "createdAt": accepted.created_at,
        "nextAttemptAt": draft.send_at if draft.waits(accepted.created_at) else accepted.created_at,
        "finishedAt": None,
    }


def shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as clients see it: names in camelCase, without what is ours."""
    return {_NAMES.get(name) or _named(name): value for name, value in row.items() if name not in _OURS}


def notification_id(raw: str) -> int:
    """The id in a path; raises Problem 404 for what cannot be one."""
    if not (raw.isascii() and raw.isdecimal() and len(raw) < 20 and int(raw) <= LARGEST_ID):
        raise unknown()
    return int(raw)


def unknown() -> Problem:
    """For an id that is nobody's, or another client's."""
    return Problem(HTTPStatus.NOT_FOUND, "There is no notification with this id.")


def write(resp: Response, body: Mapping[str, Any]) -> None:
    """Answer with this as JSON; times are written in UTC with a Z."""
    resp.content_type = "application/json"
    resp.data = orjson.dumps(body, option=orjson.OPT_UTC_Z)


def _named(name: str) -> str:
    first, *rest = name.split("_")
    return _NAMES.setdefault(name, first + "".join(part.capitalize() for part in rest))


_OURS = frozenset({"client_id"})
_NAMES: dict[str, str] = {"lane": "priority"}
