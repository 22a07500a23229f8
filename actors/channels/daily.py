"""Share the daily limit of a provider among all worker processes, through Redis.

The limit holds in any 24 hours, so that it does not matter when the provider's own day begins. Notifications are
counted in quarters of an hour, and a quarter counts until 24 hours after its end.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from math import ceil, inf

import redis

from runtime import logs

log = logs.get("daily")

QUARTER = 900  # seconds
COUNTED = 97  # quarters: those of 24 hours, and the current one
AT_ONCE = 500  # notifications that a process reserves at most
BLOCKS = 200  # a process reserves at most this part of the limit at once
ASK_AGAIN = 0.02  # seconds until the answer to a request is expected
AGAIN_AFTER = 1.0  # seconds until the next request after one that failed

# KEYS: the counts of a provider as JSON, by quarter of an hour since 1970. ARGV: the limit, how many are asked for, how
# many of those reserved before are given back (negative: were used without a reservation), QUARTER, COUNTED, and what
# is known of the counts as JSON, or nothing.
#
# Returns how many may be sent, how many are used, and the seconds until some are free again. The first is -1 if Redis
# has no counts and none are given: it may have lost them.
_RESERVE = """
local limit, asked, back = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local quarter, counted = tonumber(ARGV[4]), tonumber(ARGV[5])
local now = tonumber(redis.call('TIME')[1])
local this = math.floor(now / quarter)
local ok, counts = pcall(cjson.decode, redis.call('GET', KEYS[1]) or '')
if not ok or type(counts) ~= 'table' then
    if ARGV[6] == '' then return {-1, 0, 0} end
    counts = {}
end
if ARGV[6] ~= '' then
    for at, count in pairs(cjson.decode(ARGV[6])) do counts[at] = math.max(counts[at] or 0, count) end
end

local kept = {}
for at, count in pairs(counts) do
    local place = math.min(tonumber(at), this) -- The clock may have been set back.
    if place > this - counted then kept[place] = (kept[place] or 0) + count end
end
kept[this] = math.max(0, (kept[this] or 0) - back)
local used, oldest = 0, this
for place, count in pairs(kept) do
    used = used + count
    if count > 0 then oldest = math.min(oldest, place) end
end
local granted = math.max(0, math.min(asked, limit - used))
kept[this] = kept[this] + granted

local stored = {}
for place, count in pairs(kept) do stored[string.format('%d', place)] = count end
redis.call('SET', KEYS[1], cjson.encode(stored), 'PX', string.format('%d', quarter * counted * 1000))
return {granted, used + granted, (oldest + counted) * quarter - now}
"""


class DailyLimit:
    """Daily limit of a provider: at most `limit` notifications in 24 hours through all processes together.

    A process reserves some at a time. If it is killed, these count as used. While Redis is away, each process may use
    an equal part of what was left. `pause` and `began` are for the event loop; the rest may block.
    """

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        client: redis.Redis,
        namespace: Callable[[], str],
        provider: str,
        limit: int,
        stored: Callable[[], Mapping[str, int]],
        processes: Callable[[], int] = lambda: 1,
    ) -> None:
        """`stored` returns the counts that the database knows, for a Redis that has lost its data.

        `processes` returns how many worker processes share the limit, as far as known.
        """
        self._client, self._namespace, self._provider, self._limit = client, namespace, provider, limit
        self._stored, self._processes = stored, processes
        self._reserve = client.register_script(_RESERVE)
        self._block = min(AT_ONCE, ceil(limit / BLOCKS))
        self._left = 0  # reserved notifications; below 0 they are owed
        self._used: int | None = None  # by all processes, as last known
        self._alone: int | None = None  # what this process may still use while Redis is away
        self._share = 0  # what it could use then in all
        self._asking: asyncio.Task[None] | None = None
        self._ask_at = -inf  # time.monotonic()
        self._until = 0.0  # time.time() when some are free again, if nothing is left
        self.changed = False  # the counts, since they were last recorded

    @property
    def reserved(self) -> int:
        """Number of notifications that this process may send whatever the others have used."""
        return max(0, self._left)

    @property
    def exhausted_for(self) -> float:
        """Seconds for which nothing more is to be had; 0.0 if something is."""
        return max(0.0, self._until - time.time())

    def pause(self, now: float) -> float:
        """Return the seconds until a notification may begin; 0.0 means at once. `now` is `time.monotonic()`."""
        asks = self._left <= self._block // 2 and now >= self._ask_at and not self.exhausted_for
        if asks and (self._asking is None or self._asking.done()):
            self._asking = asyncio.get_running_loop().create_task(self._ask())
        return 0.0 if self._left > 0 else max(ASK_AGAIN, self.exhausted_for)

    def began(self) -> None:
        """Note that a notification begins."""
        self._left -= 1

    def counts(self) -> Mapping[str, int]:
        """Return the counts of all processes, by quarter; nothing if Redis has lost them.

        Raises:
            redis.RedisError: They are not known.
        """
        return dict(json.loads(self._client.get(self._key) or "{}"))

    def give_back(self) -> None:
        """Give back what is reserved. While Redis is away, it counts as used."""
        left, self._left = self._left, 0
        if left and self._alone is None:
            try:
                self._request(0, left, "")
            except redis.RedisError as error:
                log.warning("daily.not_given_back", provider=self._provider, count=left, error=type(error).__name__)

    @property
    def _key(self) -> str:
        return f"{self._namespace()}:daily:{self._provider}"

    async def _ask(self) -> None:
        owed = min(0, self._left)
        try:
            granted = await asyncio.to_thread(self._granted, owed)
        except Exception:
            log.exception("daily.failed", provider=self._provider)
            granted = owed
        self._left += granted - owed
        if self._left <= 0:
            self._ask_at = time.monotonic() + AGAIN_AFTER

    def _granted(self, owed: int) -> int:
        back = owed - (0 if self._alone is None else self._share - self._alone)
        try:
            granted, used, free_in = self._request(self._block, back, "")
            if granted < 0:
                known = json.dumps(dict(self._stored()) or {"0": 0})
                granted, used, free_in = self._request(self._block, back, known)
        except redis.RedisError as error:
            return self._without_redis(error, owed)
        self._used, self._alone, self.changed = used, None, True
        if not granted:
            log.warning("daily.exhausted", provider=self._provider, limit=self._limit, used=used)
            self._until = time.time() + free_in
        return granted

    def _request(self, asked: int, back: int, known: str) -> tuple[int, int, int]:
        answer = self._reserve(keys=[self._key], args=[self._limit, asked, back, QUARTER, COUNTED, known])
        granted, used, free_in = map(int, answer)
        return granted, used, free_in

    def _without_redis(self, error: redis.RedisError, owed: int) -> int:
        """Grant from an equal part of what was left when Redis went away."""
        if self._alone is None:
            used = sum(self._stored().values()) if self._used is None else self._used
            self._share = self._alone = max(0, self._limit - used) // max(1, self._processes())
            log.warning("daily.redis_away", provider=self._provider, share=self._share, error=type(error).__name__)
        self._alone += owed
        granted = max(0, min(self._block, self._alone))
        self._alone -= granted
        return granted
