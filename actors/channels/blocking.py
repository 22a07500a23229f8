"""Let threads call the channel of an event loop. To be deleted once `deliver` is a coroutine."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence

import uvloop

from actors.channels import Receipt
from actors.channels.callback import Callback
from db.records import Claimed


class Blocking:
    """Channel that runs another one on an event loop in a thread of its own."""

    def __init__(self, channel: Callback) -> None:
        self.provider, self._channel = channel.provider, channel
        self._loop = uvloop.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="callbacks", daemon=True).start()

    def send(
        self,
        notification: Claimed,
        begin: Callable[[], bool] = lambda: True,
        contents: Sequence[bytes] = (),
        following: Claimed | None = None,
    ) -> Receipt:
        async def begun() -> bool:
            return await asyncio.to_thread(begin)

        sending = self._channel.send(notification, begun, contents)
        return asyncio.run_coroutine_threadsafe(sending, self._loop).result()

    def hang_up(self) -> None:
        """No connection is kept."""

    def close(self) -> None:
        """The process stops."""
        asyncio.run_coroutine_threadsafe(self._channel.close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
