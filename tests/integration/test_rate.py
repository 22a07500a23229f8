"""The rate of a provider, shared by processes through a real Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from actors.channels.rate import SharedRate

NAMESPACE = "notify:test"
KEY = f"{NAMESPACE}:rate:mail"
BURST = 0.4  # seconds' worth that may be reserved and not used yet


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, socket_timeout=5) as client:
        yield client


def shared(client: redis.Redis, rate: float, processes: int = 1) -> SharedRate:
    return SharedRate(client, lambda: NAMESPACE, "mail", rate, lambda: processes)


def begun(rates: Sequence[SharedRate], seconds: float, senders: int = 5) -> tuple[int, float]:
    """Have `senders` of each process begin as often as they may. Return how many began, and in how many seconds."""
    number, started = 0, time.monotonic()

    async def send(rate: SharedRate) -> None:
        nonlocal number
        while (now := time.monotonic()) < started + seconds:
            if wait := rate.pause(now):
                await asyncio.sleep(wait)
            else:
                rate.began(now)
                number += 1
                await asyncio.sleep(0)

    async def run() -> None:
        await asyncio.gather(*(send(rate) for rate in rates for _ in range(senders)))

    asyncio.run(run())
    return number, time.monotonic() - started


@pytest.mark.parametrize(("rate", "processes"), [(5, 1), (50, 1), (50, 4), (500, 8), (0.5, 3)])
def test_all_processes_together_keep_to_the_rate(client: redis.Redis, rate: float, processes: int) -> None:
    number, seconds = begun([shared(client, rate) for _ in range(processes)], 1.5)

    assert 1 <= number <= rate * (seconds + BURST) + 1


def test_an_unused_rate_is_not_saved_up(client: redis.Redis) -> None:
    begun([shared(client, 20)], 0.2)
    quiet_until = time.monotonic() + 1.0
    while time.monotonic() < quiet_until:
        client.ping()

    number, seconds = begun([shared(client, 20)], 0.5)

    assert 1 <= number <= 20 * (seconds + BURST) + 1


def test_each_process_gets_an_equal_part_while_redis_is_away() -> None:
    away = redis.Redis(host="127.0.0.1", port=1, socket_timeout=0.1, retry=Retry(NoBackoff(), 0))

    number, seconds = begun([shared(away, 40, processes=4) for _ in range(4)], 1.0)

    assert 4 <= number <= 40 * seconds + 4


def test_the_rate_holds_after_redis_lost_its_data_or_its_clock_was_set_back(client: redis.Redis) -> None:
    rate = shared(client, 50)
    assert begun([rate], 0.2)[0] >= 1
    client.flushall()
    assert begun([rate], 0.2)[0] >= 1
    client.set(KEY, str((time.time() + 1_000_000) * 1000))
    assert begun([rate], 0.2)[0] >= 1


def test_mails_begun_above_the_rate_are_deducted_later(client: redis.Redis) -> None:
    rate = shared(client, 10)

    async def overdrawn() -> None:
        while rate.pause(time.monotonic()):
            await asyncio.sleep(0.01)
        for _ in range(30):
            rate.began(time.monotonic())

    asyncio.run(overdrawn())
    number, seconds = begun([rate], 1.0)

    assert number <= max(0.0, 10 * (seconds + BURST) - 28)
