"""What long checks do between two of their steps: let others have the event loop, and stop when nobody waits."""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus
from typing import Self

from falcon.asgi import Request

from api.http.asgi import LEFT
from api.http.problems import Problem

SLICE = 0.002  # seconds that checking may keep the event loop from others


class Breather:
    """Lets others have the event loop from time to time."""

    def __init__(self) -> None:
        self._since = time.perf_counter()

    async def breathe(self) -> bool:
        """Yield to the event loop, if this task has had it for SLICE; return whether it had."""
        if time.perf_counter() - self._since <= SLICE:
            return False
        await asyncio.sleep(0)
        self._since = time.perf_counter()
        return True


class Presence:
    """The client of a request whose body has come: whether it is still there to hear the answer."""

    def __init__(self, req: Request) -> None:
        self._leaving = asyncio.ensure_future(req.scope[LEFT]())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.cancel()

    def require(self) -> None:
        """Raise a Problem, which nobody reads, where the client has gone."""
        if self._leaving.done():
            raise Problem(HTTPStatus.REQUEST_TIMEOUT, "The client has gone; nothing was stored.")
