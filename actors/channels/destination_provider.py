"""Provider for channels whose recipients are destinations: it sends to each as it is currently configured."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from typing import Protocol

from actors.channels import AtMost, Begin, Deferred, Receipt, Refused, Throttled, always
from actors.channels.webhook.endpoint_fairness import NOT_TRIED
from actors.channels.webhook.http_client import Answer, Request
from actors.channels.webhook.name_resolver import Lookup, look_up
from actors.channels.webhook.posting import AT_A_TIME, Posting, looked_up
from actors.queue.wake_up import WAITING
from db import destinations
from db.coalesce import Coalescer
from db.database import connection
from db.destinations import Address, Key
from db.records import Claimed
from settings import Settings

LOOKED_UP_AT_ONCE = 64  # destinations per statement
SHORTEST_REST = 5.0  # seconds


class Turn:
    """A turn at a destination: how to send within it. `begin`: await it before sending, unless by `post`."""

    def __init__(self, posting: Posting, place: Key, begin: Begin, *, traced: bool) -> None:
        self._posting, self._place, self.begin, self._traced = posting, place, begin, traced

    async def post(self, request: Request) -> Answer:
        """POST a request, once in a turn."""
        return await self._posting.post(request, self.begin, traced=self._traced)

    def pause(self, seconds: float) -> None:
        """Send nothing more to the destination for this long."""
        self._posting.hold(self._place, seconds)


class Kind(Protocol):
    """A kind of destinations."""

    async def send(self, notification: Claimed, destination: Address, turn: Turn) -> Receipt:
        """Send a notification; raise Undelivered if it was not taken, or if this is unknown."""


class DestinationProvider:
    """Provider of one channel, for all destinations of its kinds. It belongs to one event loop.

    It needs no breaker: destinations fail apart from each other. `traced`: tell the other side the trace.
    """

    limits = AtMost(AT_A_TIME)
    idle = 5.0  # seconds
    pipelines = False

    def __init__(  # noqa: PLR0913
        self,
        channel: str,
        kinds: Mapping[str, Kind],
        settings: Settings,
        look_up: Lookup = look_up,
        context: ssl.SSLContext | None = None,
        *,
        traced: bool = False,
    ) -> None:
        self.provider, self._kinds, self._settings, self._traced = channel, kinds, settings, traced
        self._posting = Posting("destination", settings, look_up, context)
        self._destinations: Coalescer[Key, Address | None] = Coalescer(
            "destination", _addresses, most=LOOKED_UP_AT_ONCE, waiting=WAITING
        )

    def sender(self) -> DestinationProvider:
        """Return itself: no connection is kept, because there are many destinations and each is looked up again."""
        return self

    async def send(
        self,
        notification: Claimed,
        begin: Begin = always,
        contents: Sequence[bytes] = (),
        next_notification: Claimed | None = None,
    ) -> Receipt:
        try:
            return await self._send(notification, begin)
        except Deferred as error:
            if error.receipt.phase != NOT_TRIED:
                raise
            # It costs no attempt that others have found the destination silent or busy.
            wait = max(self._settings.callbacks.rest, SHORTEST_REST)
            raise Throttled(str(error), phase=NOT_TRIED, retry_after=wait) from None

    async def _send(self, notification: Claimed, begin: Begin) -> Receipt:
        place = _place(notification)
        async with self._posting.turn(place):
            destination = await looked_up("destination", self._destinations, place)
            if (kind := self._kinds.get(destination.kind)) is None:
                text = (
                    f"the destination is of the kind {destination.kind}, which takes no {self.provider} notifications"
                )
                raise Refused(text, phase="prepare")
            turn = Turn(self._posting, place, begin, traced=self._traced)
            return await kind.send(notification, destination, turn)

    async def hang_up(self) -> None:
        """Do nothing: there is no connection to close."""

    def ready(self, notification: Claimed) -> bool:
        """Return False if the destination has its maximum of requests: a slow one must not delay the others."""
        return self._posting.is_free(_place(notification))

    async def start(self) -> None:
        """Do nothing: there is nothing to prepare."""

    def stop(self) -> None:
        """Do nothing: every request has a time limit."""

    async def close(self) -> None:
        """Close the HTTP client and the look-up of destinations."""
        await self._posting.close()
        await asyncio.to_thread(self._destinations.close, self._settings.process.shutdown_grace)


def _place(notification: Claimed) -> Key:
    return notification.client_id, notification.recipient


def _addresses(keys: Sequence[Key]) -> Sequence[Address | None]:
    with connection():
        found = destinations.addresses(keys)
    return [found.get(key) for key in keys]
