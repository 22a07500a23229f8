"""Limits in answers: RateLimit headers, and 429 for requests beyond a limit.

Source: draft-ietf-httpapi-ratelimit-headers (as of September 2025), which defines structured fields and a problem
type. A quota unit is a notification.
"""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import Any

from api.access.windows import RATE, Policy, Window, left
from api.http.problems import Problem, RefusedRequest, invalid

EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"


class Exceeded(RefusedRequest):
    """429: `count` more would exceed the limit of this policy; there may be room for them after `wait` seconds."""

    def __init__(self, policy: Policy, count: int, limit: int, wait: float, windows: tuple[Window, ...] = ()) -> None:
        # A rate is free again soon, so that looking for an earlier request with the same key is not worth it.
        self.soon = policy is RATE
        self.more = {"violated-policies": [policy.name]}
        detail = f"With {count} more this client would be above its limit of {limit} {policy.words}."
        again = {"Retry-After": str(max(1, math.ceil(wait)))} | headers(windows)
        super().__init__(HTTPStatus.TOO_MANY_REQUESTS, detail, type=EXCEEDED, headers=again)


def never(policy: Policy, count: int, limit: int) -> Problem:
    """Return the Problem 422 for a request that exceeds a limit by itself, so that waiting would not help."""
    detail = f"has {count} items, and this client may have {limit} {policy.words}: send smaller batches"
    return invalid(HTTPStatus.UNPROCESSABLE_ENTITY, [{"pointer": "/items", "detail": detail}])


def unchecked(wait: float) -> Problem:
    """Return the Problem 503: how much of a limit is used is not known."""
    detail = "The limits of this client cannot be checked right now."
    again = {"Retry-After": str(math.ceil(wait))}
    return RefusedRequest(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers=again)


def headers(windows: tuple[Window, ...]) -> dict[str, str]:
    """Return the headers RateLimit-Policy and RateLimit; none without limits."""
    if not windows:
        return {}
    return {
        "RateLimit-Policy": ", ".join(f'"{w.policy.name}";q={w.limit};w={w.policy.window}' for w in windows),
        "RateLimit": ", ".join(f'"{w.policy.name}";r={left(w)}{_more_in(w)}' for w in windows),
    }


def use(limit: int | None, used: int | None) -> dict[str, Any]:
    """Return a limit and its use as JSON. `used` is None if unknown, or not counted because there is no limit."""
    if limit is None or used is None:
        return {"limit": limit, "used": None, "remaining": None}
    return {"limit": limit, "used": used, "remaining": max(0, limit - used)}


def _more_in(window: Window) -> str:
    more = left(window) + 1
    return f";t={math.ceil(window.until(more))}" if more <= window.limit else ""
