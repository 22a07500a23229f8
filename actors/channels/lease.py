"""Share the connections to a mail server among all worker processes, through Redis."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from math import inf
from uuid import uuid4

import redis

from runtime import logs

log = logs.get("lease")

RENEW_EVERY = 1.0  # seconds
EXPIRES = 10.0  # seconds after which the share of a process that has not renewed it is free
# Seconds that a process keeps its connections if there are more processes than connections.
TURN = 20.0

# KEYS: the shares of one mail server, its pause (see _HOLD). ARGV: who asks, the most connections in all, wanted, in
# use, granted so far, processes as far as known, EXPIRES and TURN in milliseconds, how many of its connections work. A
# negative `wanted` leaves.
#
# `held` is the number of connections that a process may have open until it renews. It is never below those in use or
# those granted before: the process opens connections until it has read the answer. New grants come out of the rest.
_SHARE_OUT = """
local id, most, wanted, in_use = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local granted, known, expires, turn = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local ok, stored = pcall(cjson.decode, redis.call('GET', KEYS[1]) or '')
if not ok or type(stored) ~= 'table' or type(stored.processes) ~= 'table' then
    stored = {processes = {}}
end
local ids, processes = {}, {}
for other, process in pairs(stored.processes) do
    process.seen = math.min(process.seen, now) -- The clock may have been set back.
    if other ~= id and now - process.seen < expires then
        processes[other] = process
        table.insert(ids, other)
    end
end
-- After Redis has lost its data, the first process must not take what others hold: expect them until they would expire.
local mine = stored.processes[id]
local is_new = not mine or now - mine.seen >= expires
local since, expected = math.min(stored.since or now, now), stored.expected or 1
if is_new and #ids == 0 then since, expected = now, 1 end
if is_new then expected = math.max(expected, known) end
if now - since >= expires then expected = 1 end

local function store()
    local all = cjson.encode({since = since, expected = expected, processes = processes})
    redis.call('SET', KEYS[1], all, 'PX', string.format('%d', expires))
end

if wanted < 0 then
    expected = expected - (is_new and 0 or 1)
    if #ids == 0 then redis.call('DEL', KEYS[1]) else store() end
    return {0, #ids, 0, 0}
end

local elsewhere, held, bound, working = 0, 0, most, tonumber(ARGV[9])
for _, other in ipairs(ids) do
    elsewhere = elsewhere + processes[other].working
    held = held + processes[other].held
    bound = math.min(bound, processes[other].most)
end
processes[id] = {seen = now, wanted = wanted, in_use = in_use, working = working, most = most}
table.insert(ids, id)
for unheard = #ids + 1, expected do
    table.insert(ids, string.format('~%06d', unheard))
end
table.sort(ids)

local wanting = 0
for _, one in ipairs(ids) do
    if not processes[one] or processes[one].wanted > 0 then wanting = wanting + 1 end
end
local demands, ranks, place = {}, {}, 0
for _, one in ipairs(ids) do
    local demand = processes[one] and processes[one].wanted or bound
    ranks[one] = place
    if wanting > bound then -- One each, in turns.
        demand = math.min(demand, 1)
        if demand > 0 then
            ranks[one] = (place + math.floor(now / turn) * bound) % wanting
            place = place + 1
        end
    else
        if #ids <= bound then demand = math.max(demand, 1) end -- Keep one ready for a process without work.
        place = place + 1
    end
    demands[one] = math.min(demand, bound)
end
table.sort(ids, function(a, b)
    if demands[a] ~= demands[b] then return demands[a] < demands[b] end
    return ranks[a] < ranks[b]
end)

-- Serve the smallest demands first; the rest share what is left.
local left, target, position = bound, 0, 0
for index, one in ipairs(ids) do
    local share = math.min(demands[one], math.floor(left / (#ids - index + 1)))
    left = left - share
    if one == id then target, position = share, index end
end
target = target + math.floor(left / #ids)
if position <= left % #ids then target = target + 1 end

local grant = math.max(0, math.min(target, math.max(bound - held, in_use)))
processes[id].held = math.max(grant, in_use, granted)
store()
return {grant, #ids, elsewhere, redis.call('PTTL', KEYS[2])}
"""

# KEYS: the pause of one provider, a key that exists until it ends. ARGV: milliseconds. A shorter pause changes nothing.
_HOLD = """
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], '', 'PX', ARGV[1]) end
"""


class ConnectionLease:
    """This process's share of the connections to one mail server.

    `granted`: how many connections it may have open; those above it must be closed after their current mail.
    `processes`: how many processes share them, as last known. `elsewhere`: working connections of other processes.
    `paused_until`: `time.monotonic()` until which the provider has asked any of the processes to wait.
    """

    def __init__(self, client: redis.Redis, namespace: Callable[[], str], provider: str, connections: int) -> None:
        self.client, self.namespace, self._provider, self._connections = client, namespace, provider, connections
        self._share_out, self._hold = client.register_script(_SHARE_OUT), client.register_script(_HOLD)
        self._id = str(uuid4())
        self._renewed_at = -inf
        self._away = False
        self.granted, self.processes, self.elsewhere, self.paused_until = 0, 1, 0, -inf

    def renew(self, wanted: int, in_use: int, most: int | None = None, working: int | None = None) -> int:
        """Return how many connections may be open from now on; call it every RENEW_EVERY seconds.

        `wanted`: connections there is work for. `in_use`: those open or being opened. `working`: those that work, by
        default all of `in_use`. `most`: a limit for all processes together, which holds while this process reports it.
        A Capacity that counts `elsewhere` too learns it from the server's refusals. Without it, the first process would
        keep all connections that the server accepts.

        While Redis is away, return an equal part of the connections for each of `processes`, and at least one.
        """
        bound = max(1, self._connections if most is None else min(most, self._connections))
        try:
            self.granted, self.processes, self.elsewhere = self._ask(
                bound, max(0, wanted), max(0, in_use), in_use if working is None else working
            )
        except redis.RedisError as error:
            self._do_without(bound, error)
        else:
            self._renewed_at = time.monotonic()
            if self._away:
                log.info("lease.renewed", provider=self._provider, granted=self.granted)
            self._away = False
        return self.granted

    def hold(self, seconds: float) -> None:
        """Have all processes begin nothing for this long. Others learn of it with their next renewal."""
        with contextlib.suppress(redis.RedisError):  # Then only this process waits.
            self._hold(keys=[f"{self.namespace()}:pause:{self._provider}"], args=[max(1, round(seconds * 1000))])

    def give_back(self) -> None:
        """Free this process's share after its connections are closed. While Redis is away, it expires instead."""
        self.granted = 0
        with contextlib.suppress(redis.RedisError):
            self._ask(1, -1, 0)

    def _ask(self, bound: int, wanted: int, in_use: int, working: int = 0) -> tuple[int, int, int]:
        keys = [f"{self.namespace()}:{what}:{self._provider}" for what in ("connections", "pause")]
        times = (int(EXPIRES * 1000), int(TURN * 1000))
        answer = self._share_out(
            keys=keys, args=[self._id, bound, wanted, in_use, self.granted, self.processes, *times, working]
        )
        granted, processes, elsewhere, pause = map(int, answer)
        self.paused_until = time.monotonic() + max(0, pause) / 1000
        return granted, processes, elsewhere

    def _do_without(self, bound: int, error: redis.RedisError) -> None:
        share = max(1, bound // max(1, self.processes))
        if not self._away:
            log.warning("lease.redis_away", provider=self._provider, share=share, error=type(error).__name__)
        self._away = True
        # Other processes may hold their grants until these expire.
        expired = time.monotonic() >= self._renewed_at + EXPIRES
        self.granted = share if expired else min(self.granted, share)
