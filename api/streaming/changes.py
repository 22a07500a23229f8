"""Stream of all changes of a client's notifications: one reader for all listeners of a process, and its buffer."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Collection, Iterator
from concurrent.futures import Executor
from typing import Any, NamedTuple

from api.streaming import sse
from api.streaming.listener import BROKEN, Listener
from api.streaming.reader import AT_ONCE, Reader, Seen
from db.changes import Change
from db.database import Unavailable, database
from runtime import logs
from settings import Settings

log = logs.get("streams")

INTERVAL = 0.2  # seconds between two looks for the changes that streams report
BUFFER = 1_000  # changes of one client that a process keeps for its streams; older ones are read from the database
SOON = 0.02  # least number of seconds between two reads, because many listeners may come at about the same time


class Told(NamedTuple):
    """Change as an event of the stream, with the fields that listeners filter by."""

    id: int
    status: str
    tags: frozenset[str]
    sandbox: bool
    piece: bytes

    @classmethod
    def of(cls, change: Change) -> Told:
        return cls(
            change.id,
            change.status,
            frozenset(change.tags or ()),
            change.sandbox,
            sse.event(_document(change), change.id),
        )


class Start(NamedTuple):
    """Id after which a listener gets changes; `lost` is whether earlier changes that it wanted are gone."""

    after: int
    lost: bool


class Feed:
    """Changes of one client, shared by its listeners: those above `base`, up to `position`, at most BUFFER."""

    def __init__(self, most: int) -> None:
        self.listeners: dict[ChangeListener, None] = {}
        self.base = self.position = -1
        self._most = most
        self._lately: deque[Told] = deque()

    def add(self, change: Change) -> None:
        if len(self._lately) == self._most:
            self.base = self._lately.popleft().id
        self._lately.append(Told.of(change))

    def after(self, place: int) -> Iterator[Told]:
        """Return the changes above `place`, which must not be below `base`, in order."""
        count = 0
        for told in reversed(self._lately):
            if told.id <= place:
                break
            count += 1
        return (self._lately[n] for n in range(len(self._lately) - count, len(self._lately)))


class ChangeListener(Listener):
    """Listener to the changes of a client."""

    feed: Feed
    after: int | None

    def begin(self, start: Start) -> None:
        raise NotImplementedError


class Changes:
    """Reads changes for the listeners of an API process; without listeners it queries nothing. Event loop only."""

    def __init__(self, settings: Settings, thread: Executor) -> None:
        self._settings, self._thread = settings, thread
        self._reader = Reader(settings)
        self._feeds: dict[int, Feed] = {}
        self._joining: list[ChangeListener] = []
        self._joined = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None

    def join(self, listener: ChangeListener) -> None:
        """Add a listener. Its `begin` is called once it is known where its changes start."""
        feed = self._feeds.setdefault(listener.caller.client_id, Feed(BUFFER))
        feed.listeners[listener] = None
        listener.feed = feed
        self._joining.append(listener)
        self._joined.set()
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())

    def leave(self, listener: ChangeListener) -> None:
        listener.feed.listeners.pop(listener, None)
        client = listener.caller.client_id
        if not listener.feed.listeners and self._feeds.get(client) is listener.feed:
            del self._feeds[client]
        if not self._feeds:
            self._joined.set()

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._feeds:
                if not await self._look(loop):
                    await self._pause()
        finally:
            self._reading = None
        self._reader.reset()
        loop.run_in_executor(self._thread, database.close)

    async def _pause(self) -> None:
        """Wait for the next read, which comes soon after a new listener."""
        await asyncio.sleep(min(SOON, INTERVAL))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(INTERVAL):
                await self._joined.wait()
        self._joined.clear()

    async def _look(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Read and distribute new changes; return whether there are more to read at once."""
        joining = self._joining
        self._joining = []
        try:
            seen = await loop.run_in_executor(self._thread, self._reader.look, frozenset(self._feeds))
        except Unavailable as error:
            log.warning("database.unavailable", error=str(error), listening=len(self._feeds))
            seen = None
        except Exception:
            log.exception("streams.failed")
            seen = None
        if seen is None:
            self._joining = joining + self._joining
            return False
        self._tell(seen)
        self._joining = [listener for listener in joining if not self._begin(listener, seen)] + self._joining
        return len(seen.news) == AT_ONCE

    def _tell(self, seen: Seen) -> None:
        for client in seen.broken:
            if feed := self._feeds.pop(client, None):
                self._break(feed)
        met = set()
        for change in seen.news:
            if feed := self._feeds.get(change.client_id):
                feed.add(change)
                met.add(feed)
        for client, feed in self._feeds.items():
            if feed.base < 0 and client in seen.open:
                feed.base = seen.position
            feed.position = seen.position
        for feed in met:
            for listener in feed.listeners:
                listener.wake()

    def _begin(self, listener: ChangeListener, seen: Seen) -> bool:
        """Start a new listener if possible; return False if it has to wait for another read."""
        client = listener.caller.client_id
        if listener not in listener.feed.listeners or self._feeds.get(client) is not listener.feed:
            return True
        if client not in seen.open:
            return False
        after = listener.after
        lost = after is not None and not seen.whole[client] <= after <= seen.drawn
        listener.begin(Start(seen.position if lost or after is None else after, lost))
        return True

    def _break(self, feed: Feed) -> None:
        for listener in feed.listeners:
            listener.end(BROKEN)


def told(found: Collection[Change]) -> list[Told]:
    """Return events of changes that were read from the database again."""
    return [Told.of(change) for change in found]


def _document(change: Change) -> dict[str, Any]:
    return {
        "event": change.name,
        "at": change.at,
        "notification": {
            "id": change.notification_id,
            "type": change.type,
            "recipient": change.recipient,
            "tags": change.tags or [],
            "metadata": change.metadata or {},
            "sandbox": change.sandbox,
            "priority": change.priority,
            "status": change.status,
            "attemptCount": change.attempt_count,
            "retryCount": change.retry_count,
            "lastError": change.last_error,
            "failureReason": change.failure_reason,
            "createdAt": change.created_at,
            "nextAttemptAt": change.next_attempt_at,
        },
    }
