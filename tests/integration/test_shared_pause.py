"""A pause that a provider requests from one process applies to all, through a real Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from actors.channels.api_limits import ApiLimits
from actors.channels.lease import ConnectionLease

KEY = "ours:pause:texts"


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


def lease(client: redis.Redis, provider: str = "texts") -> ConnectionLease:
    return ConnectionLease(client, lambda: "ours", provider, 20)


def pause(limits: ApiLimits) -> float:
    return limits.pause(time.monotonic())


def asked(seconds: float, mine: ConnectionLease, *others: ConnectionLease) -> list[float]:
    """Have the provider ask one process to wait; return the pause of each after its next renewal, that one first."""

    async def run() -> list[float]:
        processes = [ApiLimits(20, one) for one in (mine, *others)]
        for process in processes:
            await process.start()
        processes[0].wait(seconds)
        await asyncio.gather(*processes[0]._telling)
        for process in processes:
            await process._renew(process._of_all)  # type: ignore[arg-type]
        pauses = [pause(process) for process in processes]
        for process in processes:
            await process.stop()
        return pauses

    return asyncio.run(run())


def test_a_pause_requested_from_one_process_applies_to_all(client: redis.Redis) -> None:
    for found in asked(100, lease(client), lease(client), lease(client)):
        assert 90 < found <= 100


def test_a_pause_of_another_provider_delays_nothing(client: redis.Redis) -> None:
    mine, other = asked(100, lease(client), lease(client, "other"))

    assert mine > 90
    assert other == 0


def test_a_shorter_pause_does_not_end_a_longer_one(client: redis.Redis) -> None:
    asked(100, lease(client))

    _, other = asked(5, lease(client), lease(client))

    assert other > 90


def test_without_a_requested_time_there_is_no_pause(client: redis.Redis) -> None:
    assert asked(0, lease(client), lease(client)) == [0, 0]
    assert client.exists(KEY) == 0


def test_a_pause_applies_to_processes_started_later_and_ends_by_itself(client: redis.Redis) -> None:
    lease(client).hold(100)
    later = lease(client)
    later.renew(1, 0)
    assert later.paused_until > time.monotonic() + 90

    assert 90_000 < client.pttl(KEY) <= 100_000
    client.delete(KEY)  # As when it ends.
    later.renew(1, 0)

    assert later.paused_until <= time.monotonic()


def test_without_redis_a_pause_applies_only_to_the_process_that_was_asked() -> None:
    with redis.Redis(port=1, retry=Retry(NoBackoff(), 0)) as nobody:
        mine, other = asked(100, lease(nobody), lease(nobody))

    assert mine > 90
    assert other == 0
