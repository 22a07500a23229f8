"""Steps of long checks: they yield to the event loop, and stop once the client has disconnected."""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus
from typing import Self

from falcon.asgi import Request

from api.http.asgi import LEFT
from api.http.problems import Problem

SLICE = 0.002  # seconds for which a check may block the event loop


class Breather:
    """Yields to the event loop from time to time."""

    def __init__(self) -> None:
        self._since = time.perf_counter()

    async def breathe(self) -> bool:
        """Yield to the event loop if this task has run for SLICE; return whether it did."""
        if time.perf_counter() - self._since <= SLICE:
            return False
        await asyncio.sleep(0)
        self._since = time.perf_counter()
        return True


class Presence:
    """Connection of a client whose request has arrived as a whole; tells whether the client has disconnected."""

    def __init__(self, req: Request) -> None:
        self._leaving = asyncio.ensure_future(req.scope[LEFT]())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.cancel()

    def require(self) -> None:
        """Raise a Problem, which nobody reads, if the client has disconnected."""
        if self._leaving.done():
            raise Problem(HTTPStatus.REQUEST_TIMEOUT, "The client has disconnected.")
