"""Book times for mails that a domain takes later, so that they come back no faster than it takes them."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

import redis
from redis.commands.core import Script

SOON = 2.0  # seconds for which mails wait in the worker process instead
LATEST = 600.0  # seconds that a mail waits at most before it is looked at again

# KEYS: the bookings of a domain and priority. ARGV: the seconds between two mails, how many there are, SOON and LATEST.
# Returns the seconds until the first one's time, as text.
_BOOK = """
local gap, count, soon, latest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
local free = math.max(tonumber(redis.call('GET', KEYS[1]) or '0') or 0, now + soon)
if free > now + latest + soon then free = now + latest end -- It is full, or the clock was set back.
redis.call('SET', KEYS[1], string.format('%.6f', free + gap * count), 'PX', string.format('%d', (latest + 60) * 1000))
return string.format('%.6f', free - now)
"""


class Bookings:
    """Bookings for the domains of one provider, shared by all worker processes while Redis answers."""

    def __init__(self, client: redis.Redis | None, namespace: Callable[[], str], provider: str) -> None:
        self._namespace, self._provider = namespace, provider
        self._book = client.register_script(_BOOK) if client is not None else None
        self._free: dict[str, float] = {}  # time.monotonic() of the next free time, without Redis

    async def delay(self, domain: str, rank: int, gap: float, count: int) -> float:
        """Book `count` times, `gap` seconds apart. Return the seconds until the first one."""
        name = f"{domain}:{rank}"
        try:
            found = await self._shared(self._book, name, gap, count) if self._book else self._own(name, gap, count)
        except redis.RedisError:
            found = self._own(name, gap, count)
        # Those for which no time is left must not come back all at once.
        return found if found < LATEST else LATEST * random.uniform(0.5, 1.0)  # noqa: S311 - no secret

    async def _shared(self, book: Script, name: str, gap: float, count: int) -> float:
        key = f"{self._namespace()}:booked:{self._provider}/{name}"
        return float(await asyncio.to_thread(book, keys=[key], args=[gap, count, SOON, LATEST]))

    def _own(self, name: str, gap: float, count: int) -> float:
        now = time.monotonic()
        self._free = {other: at for other, at in self._free.items() if at > now}
        free = min(max(self._free.get(name, 0.0), now + SOON), now + LATEST)
        self._free[name] = free + gap * count
        return free - now
