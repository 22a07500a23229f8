"""How limits are told: RateLimit headers, and 429 for what is beyond them.

draft-ietf-httpapi-ratelimit-headers (the state of September 2025): structured fields, and a problem
type. A quota unit is a notification.
"""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import Any

from api.access.windows import MANAGE, RATE, Policy, Window, left
from api.http.problems import Problem, invalid

EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"
_AGAIN = "Try again after the seconds in Retry-After."


class Exceeded(Problem):
    """429: `count` more are too many now, by this policy; in `wait` seconds they may not be."""

    def __init__(self, policy: Policy, count: int, limit: int, wait: float, windows: tuple[Window, ...] = ()) -> None:
        # Where it is soon over, nobody needs to know what an earlier request has come to.
        self.soon = policy is RATE
        self.more = {"violated-policies": [policy.name]}
        nothing = "nothing was changed" if policy is MANAGE else "nothing was stored"
        detail = f"With {count} more this client would be above its {limit} {policy.words}; {nothing}. {_AGAIN}"
        again = {"Retry-After": str(max(1, math.ceil(wait)))} | headers(windows)
        super().__init__(HTTPStatus.TOO_MANY_REQUESTS, detail, type=EXCEEDED, headers=again)


def never(policy: Policy, count: int, limit: int) -> Problem:
    """422: to wait would not help."""
    detail = f"are {count}, and this client may have {limit} {policy.words}: send smaller batches"
    return invalid(HTTPStatus.UNPROCESSABLE_ENTITY, [{"pointer": "/items", "detail": detail}])


def unchecked(wait: float) -> Problem:
    """503: there is a limit, and nobody knows how much of it is used."""
    detail = f"The limits of this client cannot be checked right now; nothing was stored. {_AGAIN}"
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": str(math.ceil(wait))})


def headers(windows: tuple[Window, ...]) -> dict[str, str]:
    """RateLimit-Policy and RateLimit; neither where nothing is limited."""
    if not windows:
        return {}
    return {
        "RateLimit-Policy": ", ".join(f'"{w.policy.name}";q={w.limit};w={w.policy.window}' for w in windows),
        "RateLimit": ", ".join(f'"{w.policy.name}";r={left(w)}{_more_in(w)}' for w in windows),
    }


def use(limit: int | None, used: int | None) -> dict[str, Any]:
    """As JSON; `used` is None where it is not known, or not counted because there is no limit."""
    if limit is None or used is None:
        return {"limit": limit, "used": None, "remaining": None}
    return {"limit": limit, "used": used, "remaining": max(0, limit - used)}


def _more_in(window: Window) -> str:
    more = left(window) + 1
    return f";t={math.ceil(window.until(more))}" if more <= window.limit else ""
