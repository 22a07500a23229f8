"""Limit the requests at a time to a provider's API, and wait when it asks for it."""

from __future__ import annotations

import time
from math import inf

from actors.channels.connections import Connections


class ApiLimits(Connections):
    """Limits of the senders of one account: those of its connections, and the Retry-After of its answers."""

    _until = -inf  # time.monotonic() until which the provider asked us to wait

    def pause(self, now: float) -> float:
        return max(super().pause(now), self._until - now)

    def wait(self, seconds: float) -> None:
        """Begin nothing for this long."""
        self._until = max(self._until, time.monotonic() + seconds)
