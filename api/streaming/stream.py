"""/api/stream: all changes of a client's notifications as they happen."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

from falcon.asgi import Request, Response

from api.access.auth import Caller, require
from api.http import pagination
from api.http.pagination import Wrong
from api.http.problems import invalid
from api.store import NotificationStore
from api.streaming import sse
from api.streaming.changes import ChangeListener, Start, Told, told
from api.streaming.listener import BROKEN
from api.streaming.reader import page
from api.streaming.streams import Streams
from db.database import Unavailable

LAST = "Last-Event-ID"
AT_ONCE = 100  # events in one piece; a slow client has one piece in flight
PAGE = 500  # earlier events that are read at once
AGAIN = 1.0  # seconds until the database is tried again


class Wanted(NamedTuple):
    """Filter of a stream: a `status`, all of `tags`, from the `sandbox` or not; None matches all."""

    status: str | None = None
    tags: frozenset[str] = frozenset()
    sandbox: bool | None = None

    def covers(self, told: Told) -> bool:
        return (
            (self.status is None or told.status == self.status)
            and self.tags <= told.tags
            and (self.sandbox is None or told.sandbox == self.sandbox)
        )


class Stream:
    """GET: stream changes as server-sent events, after the Last-Event-ID or from now on."""

    def __init__(self, store: NotificationStore, streams: Streams) -> None:
        self._store, self._streams = store, streams

    async def on_get(self, req: Request, resp: Response) -> None:
        caller = require(req, "read")
        wanted, after = _asked(req.params, req.get_header(LAST), caller)
        self._streams.check(caller.client_id)
        listener = Following(req, caller, wanted, after, self._store)
        self._streams.follow(listener)
        sse.answer(resp, listener)

    async def on_head(self, req: Request, resp: Response) -> None:
        caller = require(req, "read")
        _asked(req.params, req.get_header(LAST), caller)
        sse.answer(resp)


class Following(ChangeListener):
    """Stream of a client's changes: the event `ready`, after which nothing is skipped, then each change."""

    def __init__(
        self, req: Request, caller: Caller, wanted: Wanted, after: int | None, store: NotificationStore
    ) -> None:
        super().__init__(req, caller, store.settings.streams.seconds, store.settings.streams.heartbeat)
        self.after = after
        self._wanted, self._store = wanted, store
        self._start: Start | None = None
        self._place: int | None = None

    @property
    def place(self) -> int | None:
        return self._place

    def begin(self, start: Start) -> None:
        self._start = start
        self.wake()

    async def more(self) -> bytes:
        if self._place is None:
            return self._begun_at(self._start) if self._start else b""
        while self._place < self.feed.position and not self.ending:
            try:
                coming = await self._next_changes(self._place)
            except Unavailable:
                asyncio.get_running_loop().call_later(AGAIN, self.wake)
                return b""
            if coming is None:
                self.end(BROKEN)
                return b""
            if piece := b"".join(one.piece for one in coming if self._wanted.covers(one)):
                return piece
        return b""

    async def _next_changes(self, place: int) -> list[Told] | None:
        """Return the next changes, whether the filter covers them or not; None if some are deleted."""
        until = self.feed.position
        if place >= self.feed.base:
            found: list[Told] | None = [one for one, _ in zip(self.feed.after(place), range(AT_ONCE), strict=False)]
            most = AT_ONCE
        else:
            most = PAGE
            read = await self._store.read_aside(page, self.caller.client_id, place, until, most)
            found = None if read is None else told(read)
        if found is not None:
            self._place = found[-1].id if len(found) == most else until
        return found

    def _begun_at(self, start: Start) -> bytes:
        self._place = start.after
        ready = sse.event({"resumed": self.after is not None and not start.lost}, start.after, "ready")
        if not start.lost:
            return ready
        detail = (
            "The changes after this event are not kept any more, or never were. "
            "List the notifications that you wait for: from now on this stream is complete."
        )
        return sse.event({"after": self.after, "detail": detail}, type="lost") + ready


def _asked(parameters: Mapping[str, Any], header: str | None, caller: Caller) -> tuple[Wanted, int | None]:
    """Return the filter, and the event id after which to start; raise a Problem that lists the invalid parameters."""
    query = pagination.parse_stream(parameters, "status", "tag", "sandbox")
    after = left(query, header)
    sandbox = query.get("sandbox")
    if caller.sandbox:
        if sandbox is False:
            fault = {
                "parameter": "sandbox",
                "detail": "must not be false: a sandbox key gets changes of the sandbox only",
            }
            raise invalid(HTTPStatus.BAD_REQUEST, [fault])
        sandbox = True
    return Wanted(query.get("status"), frozenset(query.get("tag", ())), sandbox), after


def left(query: Mapping[str, Any], header: str | None) -> int | None:
    """Return the id of the event after which to resume, or None; raise a Problem."""
    # A browser that reconnects sends the header, and the query of its first request.
    if not header:
        return query.get("lastEventId")
    try:
        return pagination.event_id(header)
    except Wrong as why:
        raise invalid(HTTPStatus.BAD_REQUEST, [{"header": LAST, "detail": str(why)}]) from None
