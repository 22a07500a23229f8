"""The shares of connections while Redis is away, is flushed, or has a clock that jumps."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from unittest import mock

import pytest
import redis

from actors.channels import lease
from actors.queue.namespace import NamespaceUnknown
from tests.eventually import eventually
from tests.integration.leasing import KEY, Process, stored, turns
from tests.system import free_port


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def away() -> Iterator[redis.Redis]:
    """A client of a Redis that is not there."""
    with redis.Redis.from_url(f"redis://127.0.0.1:{free_port()}/0") as client:
        yield client


@contextmanager
def unreachable(process: Process, away: redis.Redis) -> Iterator[None]:
    """Redis is away for this process."""
    share_out = process.lease._share_out
    with mock.patch.object(process.lease, "_share_out", partial(share_out, client=away)):
        yield


def change(client: redis.Redis, changed: Callable[[dict[str, float]], None]) -> None:
    """Change what is stored of every process."""
    found = json.loads(client.get(KEY))  # type: ignore[arg-type]
    for process in found["processes"].values():
        changed(process)
    client.set(KEY, json.dumps(found))


def test_a_flushed_redis_grants_no_connections_that_others_hold(client: redis.Redis) -> None:
    processes = [Process(client) for _ in range(4)]
    turns(processes, bound=20)
    for _ in range(3):
        client.flushall()
        client.script_flush()
        assert turns(processes, bound=20) == [5, 5, 5, 5]


def test_a_redis_lost_after_a_flush_grants_no_connections_that_others_hold(
    client: redis.Redis, away: redis.Redis
) -> None:
    one, other = Process(client), Process(client)
    turns([one, other])
    client.flushall()
    assert one.renew() == 10
    with unreachable(one, away), mock.patch.object(lease, "EXPIRES", 0.0):
        assert one.renew() == 10
    assert other.open == 10


def test_after_a_flush_the_share_of_an_ended_process_is_free_after_the_expiry(client: redis.Redis) -> None:
    with mock.patch.object(lease, "EXPIRES", 2.0):
        one, gone = Process(client), Process(client)
        turns([one, gone])
        client.flushall()
        assert one.renew() == 10
        eventually(lambda: one.renew() == 20, every=0.1)


def test_a_clock_set_back_keeps_no_dead_process_alive(client: redis.Redis) -> None:
    with mock.patch.object(lease, "EXPIRES", 2.0):
        one, dead = Process(client), Process(client)
        turns([one, dead])
        change(client, lambda process: process.update(seen=process["seen"] + 3_600_000))
        assert one.renew() == 10
        eventually(lambda: one.renew() == 20, every=0.1)


def test_a_clock_that_jumps_ahead_grants_no_connections_that_others_hold(client: redis.Redis) -> None:
    processes = [Process(client) for _ in range(4)]
    turns(processes)
    change(client, lambda process: process.update(seen=process["seen"] - 3_600_000))
    # Each is taken for dead; who renews first knows of the others.
    assert turns(processes, bound=20) == [5, 5, 5, 5]


@pytest.mark.parametrize("rubbish", ["", "null", "[]", "{", '{"processes": 1}', "1"])
def test_malformed_data_in_the_key_are_replaced(client: redis.Redis, rubbish: str) -> None:
    client.set(KEY, rubbish)
    assert Process(client).renew() == 20
    assert len(stored(client)) == 1


def test_a_process_started_without_redis_takes_its_share_among_the_known_processes(away: redis.Redis) -> None:
    process = Process(away)
    process.lease.processes = 4
    assert process.renew() == 5
    process.lease.processes = 50
    assert process.renew() == 1


def test_each_process_has_its_share_and_no_more_when_redis_goes_away(client: redis.Redis, away: redis.Redis) -> None:
    idle, busy = Process(client, wanted=1), Process(client)
    with mock.patch.object(lease, "EXPIRES", 2.0):
        turns([idle, busy])
        with unreachable(idle, away), unreachable(busy, away):
            idle.wanted = 1_000
            # The other one may still have what it was granted.
            assert turns([busy, idle], bound=20) == [10, 1]
            eventually(lambda: turns([busy, idle], 1, bound=20) == [10, 10])
        assert turns([busy, idle], bound=20) == [10, 10]


def test_without_redis_a_process_out_of_turn_has_one_connection(client: redis.Redis, away: redis.Redis) -> None:
    processes = [Process(client, 1) for _ in range(3)]
    turns(processes, bound=1)
    waiting = next(process for process in processes if not process.open)
    with unreachable(waiting, away):
        assert waiting.renew() == 0
        with mock.patch.object(lease, "EXPIRES", 0.0):
            assert waiting.renew() == 1


def test_an_answer_that_is_lost_grants_nothing_twice(client: redis.Redis, away: redis.Redis) -> None:
    one, other = Process(client), Process(client)
    one.renew()
    other.renew()
    share_out = one.lease._share_out

    def lost(**said: object) -> object:
        share_out(**said)  # type: ignore[arg-type]
        raise redis.TimeoutError

    with mock.patch.object(one.lease, "_share_out", lost):
        assert one.renew() == 20  # It knows of no other process.
    assert other.renew() == 0
    assert turns([one, other], bound=20) == [10, 10]


@pytest.mark.parametrize("error", [NamespaceUnknown, redis.BusyLoadingError, redis.ResponseError, redis.ReadOnlyError])
def test_after_an_error_of_redis_a_process_keeps_its_connections(
    client: redis.Redis, error: type[redis.RedisError]
) -> None:
    process = Process(client)
    with mock.patch.object(process.lease, "_share_out", side_effect=error("wrong")):
        assert process.renew() == 20
        process.lease.give_back()
    assert process.lease.granted == 0


def test_foreign_data_under_the_key_count_as_an_unreachable_redis(client: redis.Redis) -> None:
    client.rpush(KEY, "1")
    process = Process(client)
    process.lease.processes = 2
    assert process.renew() == 10
