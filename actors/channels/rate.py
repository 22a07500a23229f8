"""Share the sending rate of a provider among all worker processes, through Redis."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from math import inf

import redis

from actors.channels.daily import DailyLimit
from runtime import logs

log = logs.get("rate")

AT_A_TIME = 0.1  # seconds' worth of notifications that a process reserves at once
KEPT = 0.3  # seconds after which a reservation is void, so that many processes cannot save up for a burst
# Seconds between two requests while nothing is left; longer for a slow rate, up to LONGEST_PAUSE.
ASK_AGAIN, LONGEST_PAUSE = 0.02, 0.25

# KEYS: the provider. ARGV: the rate per second, how many are asked for.
#
# The value is the time in milliseconds up to which the rate is used up. It never lies before the present, so that a
# quiet provider saves nothing up. Returns how many may be sent.
_RESERVE = """
local rate, asked = tonumber(ARGV[1]), tonumber(ARGV[2])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + clock[2] / 1000
local used_until = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
if used_until - now > 60000 + 2000 * asked / rate then used_until = now end -- The clock was set back.
local step = 1000 / rate
local granted = math.min(asked, math.floor((now + math.max(step, 100) - used_until) / step))
if granted <= 0 then return 0 end
redis.call('SET', KEYS[1], string.format('%.3f', used_until + granted * step), 'PX', math.ceil(60000 + 2 * step))
return granted
"""


class SharedRate:
    """Rate of a provider: at most `rate` notifications per second through all processes together.

    Use it on the event loop only. While Redis is away, each process may use an equal part of the rate. An infinite rate
    is no limit.
    """

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        client: redis.Redis,
        namespace: Callable[[], str],
        provider: str,
        rate: float,
        processes: Callable[[], int] = lambda: 1,
        daily: DailyLimit | None = None,
    ) -> None:
        """`processes` returns how many worker processes share the rate, as far as known.

        `daily`: the limit for 24 hours, if there is one.
        """
        self._namespace, self._provider, self._rate, self._processes = namespace, provider, rate, processes
        self._daily = daily
        self._reserve = client.register_script(_RESERVE)
        self._again = max(ASK_AGAIN, min(LONGEST_PAUSE, 0.25 / rate))
        self._left, self._until = 0, -inf  # reserved notifications, and until when
        self._asking: asyncio.Task[None] | None = None
        self._alone_at = -inf  # when the next one may be sent while Redis is away

    def pause(self, now: float) -> float:
        """Return the seconds until a notification may begin; 0.0 means at once. `now` is `time.monotonic()`."""
        if self._daily and (wait := self._daily.pause(now)):
            return wait
        if self._rate == inf or (self._left > 0 and now < self._until):
            return 0.0
        if self._asking is None or self._asking.done():
            self._asking = asyncio.get_running_loop().create_task(self._ask())
        return self._again

    def began(self, now: float) -> None:
        """Note that a notification begins."""
        if self._daily:
            self._daily.began()
        self._left -= 1  # below 0 it is owed, and the next reservation pays for it

    async def _ask(self) -> None:
        wanted = max(1, math.floor(self._rate * AT_A_TIME))
        granted = await asyncio.to_thread(self._granted, wanted)
        if granted:
            self._left, self._until = granted + min(0, self._left), time.monotonic() + KEPT
        else:
            await asyncio.sleep(self._again)

    def _granted(self, wanted: int) -> int:
        try:
            granted = self._reserve(keys=[f"{self._namespace()}:rate:{self._provider}"], args=[self._rate, wanted])
        except redis.RedisError as error:
            return self._alone(error)
        self._alone_at = -inf
        return int(granted)

    def _alone(self, error: redis.RedisError) -> int:
        """Grant one notification at a time, at an equal part of the rate."""
        now = time.monotonic()
        if self._alone_at == -inf:
            log.warning("rate.redis_away", provider=self._provider, error=type(error).__name__)
            self._alone_at = now
        if now < self._alone_at:
            return 0
        self._alone_at = now + max(1, self._processes()) / self._rate
        return 1
