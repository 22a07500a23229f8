"""When a failed call is repeated, and after how long. Nothing here waits or sends."""

from __future__ import annotations

import random
import time
from typing import Any

from notification_client.calls import Call
from notification_client.errors import ApiError, Conflict, ConnectionFailed, NotificationError, TooManyRequests

BACKOFF = 0.1  # seconds before the first repetition, at most; doubles each time
BACKOFF_MAX = 5.0
SPREAD = 0.5  # seconds; so that not all clients come back at the moment that Retry-After names
OVERLOADED = frozenset({502, 503, 504})


class Repetition:
    """The repetitions of one logical call, for at most `limit` seconds."""

    def __init__(self, call: Call[Any], limit: float) -> None:
        self._call, self._limit = call, limit
        self._count, self._began = 0, time.monotonic()

    def pause(self, error: NotificationError) -> float:
        """Return the seconds until the call is repeated; raise the error if it is not."""
        if isinstance(error, ApiError | ConnectionFailed):
            error.idempotency_key = self._call.key
        if not self._permits(error):
            raise error
        pause = self._pause(error)
        if time.monotonic() - self._began + pause > self._limit:
            raise error
        self._count += 1
        return pause

    def _permits(self, error: NotificationError) -> bool:
        if isinstance(error, ConnectionFailed):
            return not error.permanent and (self._call.repeatable or not error.may_have_arrived)
        if isinstance(error, TooManyRequests):
            return True  # refused before anything was done
        if isinstance(error, Conflict):
            return self._call.key is not None and error.retry_after is not None  # the first request is under way
        return isinstance(error, ApiError) and error.status in OVERLOADED and self._call.repeatable

    def _pause(self, error: NotificationError) -> float:
        asked = error.retry_after if isinstance(error, ApiError) else None
        share = random.random()  # noqa: S311 - it protects nothing, it spreads
        return min(BACKOFF_MAX, BACKOFF * 2**self._count) * share if asked is None else asked + SPREAD * share
