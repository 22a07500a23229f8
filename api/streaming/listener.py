"""One open stream, from which the server takes piece by piece."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Self

from falcon.asgi import Request

from api.access.auth import Caller
from api.http.asgi import CUT, LEFT
from api.streaming import sse


class End(NamedTuple):
    """Why a stream ends, as its last event says."""

    reason: str
    detail: str

    def event(self) -> bytes:
        return sse.event(self._asdict(), type="end")


FINAL = End("final", "The notification has come to its end.")
STOPPING = End("stopping", "This server stops. Come back with the Last-Event-ID: another one goes on from there.")
OVER = End("time", "The stream has lasted as long as one may. Come back with the Last-Event-ID.")
REVOKED = End("key", "The key works no more.")
SLOW = End("slow", "Nothing was taken for too long. Come back with the Last-Event-ID.")
BROKEN = End("broken", "Changes may be missing from here on. Come back with the Last-Event-ID, and hear which.")
GONE = End("gone", "The notification has been deleted.")


class Listener:
    """An async iterator over what is to be written. Whoever makes one adds it to `Listeners`, which cares for it.

    A kind of stream says in `more` what there is to tell now (b"" for nothing), and calls `end` for its own reasons.
    """

    def __init__(self, req: Request, caller: Caller, seconds: float, heartbeat: float) -> None:
        self.caller, self._heartbeat = caller, heartbeat
        self.said_at = time.monotonic()
        self.until = self.said_at + seconds
        # Since when the server has not come back for more: so long the client takes nothing.
        self.writing_since = math.inf
        self.closed: Callable[[], None] = lambda: None
        self._cut: Callable[[bytes], None] = req.scope[CUT]
        self._woken = asyncio.Event()
        self._end: End | None = None
        self._begun = self._over = False
        self._leaving = asyncio.ensure_future(_gone(req.scope[LEFT], self._left))

    async def more(self) -> bytes:
        raise NotImplementedError

    @property
    def place(self) -> int | None:
        """Whoever comes back with this has missed nothing."""
        return None

    @property
    def ending(self) -> bool:
        """Whether there is no use in telling more."""
        return self._over or self._end is not None

    def wake(self) -> None:
        self._woken.set()

    def end(self, why: End) -> None:
        """Say this last."""
        self._end = self._end or why
        self.wake()

    def cut(self, why: End) -> None:
        """Say this last, though the client has not taken what came before; if it does not soon, hang up."""
        self._over = True
        self.wake()
        self._cut(why.event())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        self.writing_since = math.inf
        piece = await self._next()
        self.said_at = self.writing_since = time.monotonic()
        return piece

    async def close(self) -> None:
        """Called by Falcon when it is over, whatever the reason."""
        self._leaving.cancel()
        self.closed()

    async def _next(self) -> bytes:
        if not self._begun:
            self._begun = True
            return sse.beginning()
        while not self._over:
            self._woken.clear()
            if self._end is not None:
                self._over = True
                return self._end.event()
            if piece := await self.more():
                return piece
            if time.monotonic() - self.said_at >= self._heartbeat:
                return sse.heartbeat(self.place)
            await self._woken.wait()
        raise StopAsyncIteration

    def _left(self) -> None:
        self._over = True
        self.wake()


async def _gone(left: Callable[[], Awaitable[None]], then: Callable[[], None]) -> None:
    await left()
    then()
