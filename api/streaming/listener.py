"""Open stream, from which the server takes one piece after the other."""

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
    """Reason for the end of a stream, which its last event states."""

    reason: str
    detail: str

    def event(self) -> bytes:
        return sse.event(self._asdict(), type="end")


FINAL = End("final", "The notification is final.")
STOPPING = End("stopping", "This server is stopping. Reconnect with the Last-Event-ID to continue on another one.")
OVER = End("time", "The stream has reached its longest duration. Reconnect with the Last-Event-ID.")
REVOKED = End("key", "The key was revoked or has expired.")
SLOW = End("slow", "The client has read nothing for too long. Reconnect with the Last-Event-ID.")
BROKEN = End("broken", "Changes may be missing from here on. Reconnect with the Last-Event-ID to learn which.")
GONE = End("gone", "The notification has been deleted.")


class Listener:
    """Async iterator over the bytes of a stream. Add each one to `Listeners`, which looks after it.

    Subclasses return in `more` the bytes to write now (b"" for none), and call `end` for reasons of their own.
    """

    def __init__(self, req: Request, caller: Caller, seconds: float, heartbeat: float) -> None:
        self.caller, self._heartbeat = caller, heartbeat
        self.said_at = time.monotonic()
        self.until = self.said_at + seconds
        # Time at which the server got the piece that it is still writing to the client; inf between two pieces.
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
        """Id of the last event: a client that reconnects with it misses nothing."""
        return None

    @property
    def ending(self) -> bool:
        """Return whether the stream is ending, so that more events are useless."""
        return self._over or self._end is not None

    def wake(self) -> None:
        self._woken.set()

    def end(self, why: End) -> None:
        """End the stream with this event."""
        self._end = self._end or why
        self.wake()

    def cut(self, why: End) -> None:
        """End the stream with this event although the client has not read the previous ones; close it soon after."""
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
        """Clean up; Falcon calls this at the end, whatever the reason."""
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
