"""The daily limit of a provider, shared by processes through a real Redis."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from uuid import uuid4

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from actors.breaker import Breaker
from actors.channels.daily import QUARTER, DailyLimit
from actors.channels.rate import SharedRate
from settings import read

NAMESPACE = "notify:test"
KEY = f"{NAMESPACE}:daily:mail"
DAY = 86_400


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, socket_timeout=5) as client:
        yield client


def shared(client: redis.Redis, limit: int, stored: Mapping[str, int] | None = None, processes: int = 1) -> DailyLimit:
    return DailyLimit(client, lambda: NAMESPACE, "mail", limit, lambda: stored or {}, lambda: processes)


def begun(limits: Sequence[DailyLimit], most: int = 1_000_000, seconds: float = 30.0, senders: int = 5) -> int:
    """Have `senders` of each process begin as often as they may, until nothing is left or reserved. Return how many."""
    number, until = 0, time.monotonic() + seconds

    async def send(limit: DailyLimit) -> None:
        nonlocal number
        while number < most and time.monotonic() < until and (limit.reserved or not limit.exhausted_for):
            if wait := limit.pause(time.monotonic()):
                await asyncio.sleep(min(wait, 0.02))
            else:
                limit.began()
                number += 1
                await asyncio.sleep(0)

    async def run() -> None:
        await asyncio.gather(*(send(limit) for limit in limits for _ in range(senders)))

    asyncio.run(run())
    return number


@pytest.mark.parametrize(("limit", "processes"), [(1, 1), (7, 3), (100, 1), (5_000, 4)])
def test_all_processes_together_use_exactly_the_limit(client: redis.Redis, limit: int, processes: int) -> None:
    limits = [shared(client, limit) for _ in range(processes)]
    started = time.time()

    assert begun(limits) == limit

    assert all(time.time() - started + one.exhausted_for > DAY for one in limits)
    assert all(one.exhausted_for <= DAY + QUARTER for one in limits)
    assert begun([shared(client, limit)]) == 0


def test_a_process_may_send_what_it_has_reserved_when_nothing_else_is_left(client: redis.Redis) -> None:
    client.set(KEY, json.dumps({str(int(time.time() // QUARTER)): 249}))
    limit = shared(client, 250)
    breaker = Breaker(read({}), "mail", uuid4())
    breaker.daily = limit

    async def ask() -> None:
        while not limit.exhausted_for:  # It asks for more while it has one.
            limit.pause(time.monotonic())
            await asyncio.sleep(0.01)

    asyncio.run(ask())

    assert (limit.reserved, limit.pause(time.monotonic()), breaker.usable) == (1, 0.0, True)
    limit.began()
    assert (limit.reserved, breaker.usable) == (0, False)


def test_what_was_used_24_hours_ago_is_free_again(client: redis.Redis) -> None:
    this = int(time.time() // QUARTER)
    client.set(KEY, json.dumps({str(this - 97): 4, str(this - 96): 3, str(this): 1}))
    limit = shared(client, 10)

    assert begun([limit]) == 6

    assert limit.exhausted_for <= QUARTER


def test_a_redis_that_has_lost_its_data_continues_from_the_counts_in_the_database(client: redis.Redis) -> None:
    stored: dict[str, int] = {}
    first = shared(client, 20, stored)
    assert begun([first], most=5, senders=1) == 5
    stored |= first.counts()
    client.flushall()

    assert begun([first, shared(client, 20, stored)]) <= 15


def test_a_count_that_is_garbage_is_replaced_by_that_of_the_database(client: redis.Redis) -> None:
    client.set(KEY, "garbage")

    assert begun([shared(client, 10, {str(int(time.time() // QUARTER)): 8})]) == 2


def test_a_clock_that_was_set_back_frees_nothing(client: redis.Redis) -> None:
    client.set(KEY, json.dumps({str(int(time.time() // QUARTER) + 500): 8}))

    assert begun([shared(client, 10)]) == 2


def test_what_a_process_gives_back_is_used_by_another(client: redis.Redis) -> None:
    first = shared(client, 1_000)
    assert begun([first], most=1, senders=1) == 1
    first.give_back()

    assert begun([shared(client, 1_000)]) == 999


def test_each_process_gets_an_equal_part_while_redis_is_away() -> None:
    away = redis.Redis(host="127.0.0.1", port=1, socket_timeout=0.1, retry=Retry(NoBackoff(), 0))
    stored = {str(int(time.time() // QUARTER)): 20}

    assert begun([shared(away, 100, stored, processes=4) for _ in range(4)], seconds=5.0) == 80


def test_what_was_used_without_redis_is_counted_when_it_is_back(client: redis.Redis) -> None:
    limit = shared(client, 40, processes=4)
    assert begun([limit], most=1, senders=1) == 1
    where = client.connection_pool.connection_kwargs
    path, where["path"] = where["path"], "/nowhere"
    client.connection_pool.reset()
    alone = begun([limit], seconds=3.0)
    where["path"] = path
    client.connection_pool.reset()

    assert 1 <= alone <= 10
    others = begun([limit, shared(client, 40)], seconds=5.0)
    assert 1 + alone + others <= 40


def test_a_provider_may_have_a_daily_limit_and_no_rate(client: redis.Redis) -> None:
    rate = SharedRate(client, lambda: NAMESPACE, "mail", float("inf"), daily=shared(client, 3))

    async def count() -> int:
        number, until = 0, time.monotonic() + 5
        while time.monotonic() < until and (wait := rate.pause(time.monotonic())) < 1:
            if wait:
                await asyncio.sleep(wait)
            else:
                rate.began(time.monotonic())
                number += 1
        return number

    assert asyncio.run(count()) == 3
