"""Streams of single notifications: past events, then new ones, until the notification is final.

These streams store nothing: a notification's events are read from its row, its attempts and its events. One periodic
query finds the rows that have changed, whose events are then read again.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from concurrent.futures import Executor
from typing import NamedTuple

from falcon.asgi import Request

from api.access.auth import Caller
from api.http.answers import shown
from api.store import NotificationStore
from api.streaming import sse
from api.streaming.changes import INTERVAL
from api.streaming.listener import FINAL, GONE, Listener
from db import timeline
from db.database import Unavailable, connection, database
from db.models import FINAL as ENDS
from db.timeline import Story
from runtime import logs
from settings.streams import StreamSettings

log = logs.get("streams")

AGAIN = 1.0  # seconds until the database is tried again
Marks = dict[int, str]


class Place(NamedTuple):
    """Notification, the number of its events that the client knows, and its events so far."""

    id: int
    after: int
    story: Story


class Telling(Listener):
    """Stream of one notification: each event, numbered from 1, and the status whenever it has changed.

    A status that lasts only a moment may be skipped; events are never skipped.
    """

    def __init__(self, req: Request, caller: Caller, place: Place, store: NotificationStore) -> None:
        super().__init__(req, caller, store.settings.streams.seconds, store.settings.streams.heartbeat)
        self.id, self._store = place.id, store
        # Start from the first event if the client's number is too high.
        self._told = place.after if place.after <= len(place.story.events) else 0
        self._story: Story | None = place.story
        self._status = ""

    @property
    def place(self) -> int | None:
        return self._told

    def changed(self) -> None:
        self._story = None
        self.wake()

    async def more(self) -> bytes:
        if self._story is None:
            try:
                story = await self._store.read_aside(timeline.story, self.id, self.caller.client_id)
            except Unavailable:
                asyncio.get_running_loop().call_later(AGAIN, self.wake)
                return b""
            if story is None:
                self.end(GONE)
                return b""
            self._story = story
        return self._news(self._story)

    def _news(self, story: Story) -> bytes:
        pieces = [
            sse.event({**event, "detail": shown(event["detail"])}, number)
            for number, event in enumerate(story.events[self._told :], self._told + 1)
        ]
        self._told = max(self._told, len(story.events))
        if story.status != self._status:
            self._status = story.status
            pieces.append(sse.event({"status": story.status}, type="status"))
        if story.status in ENDS:
            self.end(FINAL)
        return b"".join(pieces)


class Timelines:
    """Follows the notifications that have listeners; without listeners it queries nothing. Event loop only."""

    def __init__(self, settings: StreamSettings, thread: Executor) -> None:
        self._settings, self._thread = settings, thread
        self._listening: defaultdict[int, dict[Telling, None]] = defaultdict(dict)
        self._marks: Marks = {}
        self._watching: asyncio.Task[None] | None = None

    def join(self, listener: Telling) -> None:
        """Add a listener. It is woken when its notification changes, and once after the next query in any case."""
        self._listening[listener.id][listener] = None
        self._marks.pop(listener.id, None)
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())

    def leave(self, listener: Telling) -> None:
        self._listening[listener.id].pop(listener, None)
        if not self._listening[listener.id]:
            del self._listening[listener.id]

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._listening:
                await asyncio.sleep(INTERVAL)
                ids = list(self._listening)
                try:
                    self._compare(ids, await loop.run_in_executor(self._thread, _marks, ids))
                except Unavailable as error:
                    log.warning("database.unavailable", error=str(error), listening=len(ids))
                except Exception:
                    log.exception("streams.failed")
        finally:
            self._watching = None
        self._marks = {}
        loop.run_in_executor(self._thread, database.close)

    def _compare(self, ids: list[int], marks: Marks) -> None:
        for id in ids:
            if marks.get(id) != self._marks.get(id) or id not in marks:
                for listener in self._listening.get(id, ()):
                    listener.changed()
        # Listeners that have joined during the query are woken by the next one.
        self._marks = {id: mark for id, mark in marks.items() if id in self._marks or id in self._listening}


def _marks(ids: list[int]) -> Marks:
    with connection():
        return timeline.marks(ids)
