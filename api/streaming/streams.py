"""Streams of an API process, which share one thread with one database connection."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from api.streaming.changes import ChangeListener, Changes
from api.streaming.listener import Listener
from api.streaming.listeners import Listeners
from api.streaming.timelines import Telling, Timelines
from settings import Settings


class Streams:
    """All streams of an API process. Use it on the event loop only."""

    def __init__(self, settings: Settings) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="streams")
        self._listeners = Listeners(settings, self._thread)
        self._changes = Changes(settings, self._thread)
        self._timelines = Timelines(settings, self._thread)

    def check(self, client: int) -> None:
        """Raise Full if this client may not open another stream."""
        self._listeners.check(client)

    def follow(self, listener: ChangeListener) -> None:
        """Send a listener the changes of its client until it is closed."""
        self._open(listener)
        self._changes.join(listener)

    def tell(self, listener: Telling) -> None:
        """Send a listener the events of its notification until it is closed."""
        self._open(listener)
        self._timelines.join(listener)

    def stop(self) -> None:
        """End all streams; their clients reconnect to another process."""
        self._listeners.stop()

    async def process_shutdown(self, _scope: Any, _event: Any) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _open(self, listener: Listener) -> None:
        listener.closed = lambda: self._closed(listener)
        self._listeners.add(listener)

    def _closed(self, listener: Listener) -> None:
        self._listeners.remove(listener)
        if isinstance(listener, ChangeListener):
            self._changes.leave(listener)
        elif isinstance(listener, Telling):
            self._timelines.leave(listener)
