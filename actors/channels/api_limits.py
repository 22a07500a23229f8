"""Limit the requests at a time to a provider's API, and wait when it asks for it."""

from __future__ import annotations

import asyncio
import time
from math import inf

from actors.channels.connections import Connections
from actors.channels.lease import ConnectionLease
from actors.channels.rate import SharedRate


class ApiLimits(Connections):
    """Limits of the senders of one account: those of its connections, and the Retry-After of its answers.

    All processes keep a Retry-After that one of them got; the others learn of it within a second.
    """

    def __init__(self, connections: int, lease: ConnectionLease | None = None, rate: SharedRate | None = None) -> None:
        super().__init__(connections, lease, rate)
        self._of_all = lease
        self._until = -inf  # time.monotonic() until which the provider asked this process to wait
        self._telling: set[asyncio.Task[None]] = set()

    def pause(self, now: float) -> float:
        until = max(self._until, self._of_all.paused_until if self._of_all else -inf)
        return until - now if until > now else super().pause(now)

    def wait(self, seconds: float) -> None:
        """Begin nothing for this long, in no process."""
        if seconds <= 0:
            return
        self._until = max(self._until, time.monotonic() + seconds)
        if self._of_all is not None:
            telling = asyncio.get_running_loop().create_task(asyncio.to_thread(self._of_all.hold, seconds))
            self._telling.add(telling)
            telling.add_done_callback(self._telling.discard)
