"""Falcon's application, with request bodies that are read when a resource asks for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import falcon.asgi

from api.access.meter import METER, Meter
from api.access.shares import Shares
from api.http.body_memory import Reservation
from api.http.targets import Targets
from settings import Settings

LEFT = "notification-system.left"  # in the scope: waits until the client has disconnected
CUT = "notification-system.cut"  # in the scope: writes the given bytes and closes the connection
ON_STOP = "notification-system.on-stop"  # in the state of the lifespan: functions to call at a stop
BODY = "notification-system.body"  # in the scope: the Body of the request
BEGAN = "notification-system.began"  # in the scope: the `time.monotonic()` of the request's arrival
WHOLE = "notification-system.whole"  # in the scope: whether the whole body has arrived
BODILESS = ("GET", "HEAD", "OPTIONS")  # the connection drops a body that comes with these
# The rest of a refused body is read and dropped for so long (seconds) and up to so many bytes, so that the client
# receives the answer.
LINGER_TIMEOUT = 2.0
LINGER_LIMIT = 16_777_216
RESERVATION = "notification-system.reservation"  # in the scope: the Reservation of memory for the body
_LATER = {"type": "http.request", "body": b"", "more_body": True}


class Truncated(Exception):
    """The body of a request is incomplete: its client has disconnected."""


class Application(falcon.asgi.App[Any, Any]):
    """Application that reads the body of a request when a responder asks for it, and drops the rest after the answer.

    Falcon itself waits for the first piece of a body before it routes the request, however long that takes, and
    mistakes an incomplete body for a whole one.

    The functions in `on_stop` are called when the server is told to stop, before it waits for requests in progress.
    """

    def __init__(self, settings: Settings, targets: Targets | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._settings = settings
        self._targets = targets or Targets(settings.public)
        self._memory = Shares("bodies", settings.http.bodies_limit, divided=settings.http.auth != "off")
        # With a single client nothing is charged (CpuBudget). Reading a thread's clock costs a system call.
        self._metered = settings.http.auth != "off"
        self.on_stop: list[Callable[[], None]] = []

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:  # type: ignore[override]
        if scope["type"] == "http":
            scope[BEGAN] = time.monotonic()
            self._targets.normalize(scope)
            body = Body(receive)
            scope[LEFT], scope[BODY] = body.left, body
            reservation = scope[RESERVATION] = Reservation(self._memory)
            if scope["method"] in BODILESS:
                await super().__call__(scope, body, send)
                return
            answer = partial(self._answer, send, body, reservation)
            answering = super().__call__(scope, body, answer)
            meter = scope[METER] = Meter(answering)
            try:
                await (meter if self._metered else answering)
            finally:
                reservation.give_back()  # Only a body reserves memory.
                meter.settle()
        else:
            scope.setdefault("state", {})[ON_STOP] = self.on_stop
            await super().__call__(scope, receive, send)

    async def _answer(self, send: Any, body: Body, reservation: Reservation, event: dict[str, Any]) -> None:
        """Send a part of the answer; before its last part, read and drop the rest of the body.

        Once an answer is complete the server reads no more of the body, and closes a connection that is not kept alive.
        A client that is still sending would then lose the answer.
        """
        if not body.over and event["type"] == "http.response.body" and not event.get("more_body"):
            reservation.give_back()
            await send({**event, "more_body": True})
            await body.discard(LINGER_TIMEOUT, LINGER_LIMIT)
            event = {"type": "http.response.body"}
        await send(event)


class Body:
    """`receive` of a request. Its first event comes at once; a disconnect within the body raises Truncated.

    `over` is whether the whole body was read.
    """

    __slots__ = ("_asked", "_receive", "over")

    def __init__(self, receive: Any) -> None:
        self._receive, self._asked, self.over = receive, False, False

    async def __call__(self) -> Any:
        if not self._asked:
            self._asked = True
            return _LATER
        event = await self._receive()
        whole, self.over = self.over, not event.get("more_body", False)
        if event["type"] == "http.disconnect" and not whole:
            raise Truncated
        return event

    async def piece(self) -> bytes:
        """Return the next piece; raise Truncated."""
        self._asked = True
        piece: bytes = (await self()).get("body", b"")
        return piece

    async def left(self) -> None:
        """Return when the client has disconnected. Only for a request whose body was read, or that has none."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def discard(self, seconds: float, limit: int) -> None:
        taken = 0
        with suppress(TimeoutError, Truncated):
            async with asyncio.timeout(seconds):
                while not self.over and taken < limit:
                    taken += len(await self.piece())
