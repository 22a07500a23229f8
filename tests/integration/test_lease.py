"""The connections to a mail server, shared out among processes in a real Redis."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from unittest import mock

import pytest
import redis

from actors.channels import lease
from actors.channels.capacity import Capacity
from actors.channels.lease import ConnectionLease
from tests.eventually import eventually
from tests.integration.leasing import KEY, MAIL, ROUNDS, Process, stored, turns


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


def test_a_single_process_gets_all_connections(client: redis.Redis) -> None:
    assert Process(client).renew() == 20


def test_a_process_has_no_connections_before_its_first_renewal(client: redis.Redis) -> None:
    assert Process(client).lease.granted == 0


@pytest.mark.parametrize(
    ("connections", "count", "shares"),
    [
        (20, 2, [10, 10]),
        (20, 3, [6, 7, 7]),
        (7, 4, [1, 2, 2, 2]),
        (3, 3, [1, 1, 1]),
        (1, 1, [1]),
        (1_000, 3, [333] * 2 + [334]),
    ],
)
def test_shares_are_fair(client: redis.Redis, connections: int, count: int, shares: list[int]) -> None:
    processes = [Process(client, connections) for _ in range(count)]
    assert sorted(turns(processes, bound=connections)) == shares
    assert turns(processes) == turns(processes)


def test_a_process_that_joins_gets_its_share_as_the_others_shrink(client: redis.Redis) -> None:
    one, other = Process(client), Process(client)
    one.renew()
    assert other.renew() == 0
    assert one.renew() == 10
    # The first may have opened more until it read that.
    assert other.renew() == 0
    assert one.renew() == 10
    assert other.renew() == 10


def test_connections_in_use_are_not_granted_to_others_until_they_are_closed(client: redis.Redis) -> None:
    busy, other = Process(client), Process(client)
    busy.renew()
    other.renew()
    assert busy.lease.renew(1_000, 17) == 10
    for _ in range(5):
        assert busy.lease.renew(1_000, 17) == 10
        assert other.renew() == 3
    busy.lease.renew(1_000, 10)
    assert other.renew() == 10
    assert other.lease.elsewhere == 10


def test_a_process_that_needs_few_connections_lends_the_rest_and_gets_them_back(client: redis.Redis) -> None:
    idle, busy = Process(client, wanted=2), Process(client)
    assert turns([idle, busy], bound=20) == [2, 18]
    idle.wanted = 1_000
    assert turns([idle, busy], bound=20) == [10, 10]


def test_a_process_without_work_keeps_one_connection(client: redis.Redis) -> None:
    idle, busy = Process(client, wanted=0), Process(client)
    turns([idle, busy])
    assert (idle.lease.granted, busy.lease.granted) == (1, 19)


def test_connections_that_nobody_needs_are_granted_too(client: redis.Redis) -> None:
    processes = [Process(client, wanted=1), Process(client, wanted=3)]
    turns(processes)
    assert [process.lease.granted for process in processes] == [9, 11]


def test_a_process_that_leaves_frees_its_share_at_once(client: redis.Redis) -> None:
    one, other = Process(client), Process(client)
    turns([one, other])
    one.lease.give_back()
    assert one.lease.granted == 0
    assert other.renew() == 20
    other.lease.give_back()
    assert not client.exists(KEY)
    other.lease.give_back()


def test_a_process_that_has_died_frees_its_share_after_the_expiry(client: redis.Redis) -> None:
    with mock.patch.object(lease, "EXPIRES", 2.0):
        dead, other = Process(client), Process(client)
        turns([dead, other])
        assert other.renew() == 10
        eventually(lambda: other.renew() == 20, every=0.1)
    assert len(stored(client)) == 1


def test_the_lease_in_redis_expires_after_all_processes_died(client: redis.Redis) -> None:
    with mock.patch.object(lease, "EXPIRES", 0.2):
        turns([Process(client), Process(client)])
        eventually(lambda: not client.exists(KEY))


def test_a_process_paused_for_long_takes_no_connections_from_others(client: redis.Redis) -> None:
    with mock.patch.object(lease, "EXPIRES", 2.0):
        paused, other = Process(client), Process(client)
        turns([paused, other])
        eventually(lambda: other.renew() == 20, every=0.1)
    # It has ten connections open, and is back.
    assert paused.lease.renew(1_000, 10) == 10
    assert other.renew() == 10
    paused.open = 0
    assert paused.renew() <= 10
    assert turns([other, paused], bound=20) == [10, 10]


@pytest.mark.parametrize(("connections", "count"), [(1, 2), (2, 5), (3, 10), (1, 4)])
def test_processes_take_turns_if_there_are_fewer_connections_than_processes(
    client: redis.Redis, connections: int, count: int
) -> None:
    processes = [Process(client, connections, wanted=1 + n) for n in range(count)]
    had: set[int] = set()
    # A connection changes hands within three renewals, so there must be more of them in a turn.
    with mock.patch.object(lease, "TURN", 1.0):

        def all_had_one() -> bool:
            turns(processes, 1, bound=connections)
            had.update(n for n, process in enumerate(processes) if process.open)
            return len(had) == count

        eventually(all_had_one, within=30, every=0.05)


def test_a_process_keeps_its_connections_for_a_turn(client: redis.Redis) -> None:
    processes = [Process(client, 2) for _ in range(5)]
    with mock.patch.object(lease, "TURN", 3_600.0):
        first = turns(processes, bound=2)
        assert sorted(first) == [0, 0, 0, 1, 1]
        assert turns(processes, 10, bound=2) == first


def test_processes_without_work_get_no_turn(client: redis.Redis) -> None:
    busy, idle = Process(client, 2), [Process(client, 2, wanted=0) for _ in range(5)]
    turns([busy, *idle], bound=2)
    assert busy.open == 2


def test_the_smallest_limit_among_processes_applies_to_all(client: redis.Redis) -> None:
    large, small = Process(client, 100), Process(client, 4)
    assert large.renew() == 100
    assert turns([large, small]) == [2, 2]
    small.lease.give_back()
    assert large.renew() == 100


def test_a_limit_of_the_server_that_one_process_finds_bounds_all_processes(client: redis.Redis) -> None:
    one, other = Process(client), Process(client)
    turns([one, other])
    for _ in range(ROUNDS):
        one.renew(3)
        other.renew()
    assert sorted([one.open, other.open]) == [1, 2]
    assert turns([one, other], bound=20) == [10, 10]


def test_each_server_has_its_own_shares(client: redis.Redis) -> None:
    Process(client).renew()
    assert ConnectionLease(client, lambda: "ours", "other.example.com:25", 20).renew(20, 0) == 20
    assert ConnectionLease(client, lambda: "others", MAIL, 20).renew(20, 0) == 20


def test_processes_that_renew_at_the_same_instant_never_have_more_than_all(redis_url: str) -> None:
    """Threads, each with a connection of its own to Redis, as processes have."""
    count, bound = 6, 20
    begin, opened = threading.Barrier(count), [0] * count
    most: list[int] = []
    looking = threading.Lock()

    def work(n: int) -> None:
        with redis.Redis.from_url(redis_url) as client:
            process = Process(client)
            begin.wait(30)
            for turn in range(60):
                process.wanted = (turn * (n + 1)) % 23
                granted = process.lease.renew(process.wanted, process.open)
                with looking:
                    # What it may open is counted, opened or not.
                    opened[n] = max(granted, process.open)
                    most.append(sum(opened))
                    process.open = min(granted, process.wanted)
                    opened[n] = granted

    threads = [threading.Thread(target=work, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(most) == 60 * count
    assert max(most) <= bound


def test_a_renewal_is_one_round_trip(client: redis.Redis) -> None:
    process = Process(client)
    process.renew()
    before = client.info("commandstats")["cmdstat_evalsha"]["calls"]
    began = time.monotonic()
    process.renew()
    assert client.info("commandstats")["cmdstat_evalsha"]["calls"] == before + 1
    assert process.lease._renewed_at >= began


class Learning(Process):
    """A process that learns from refusals how many connections the server admits: of its own, and of all."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__(client)
        self.own, self.all = Capacity(20), Capacity(20)
        self.refusals = 0

    def work(self, now: float, admits: int, others: int) -> None:
        """Renew the lease, close what is too many, and open what is allowed until one is refused."""
        granted = self.lease.renew(self.wanted, self.open, self.all.limit(now))
        self.open = min(self.open, granted)
        while self.open < min(granted, self.own.limit(now)) and self.own.reconnect(now) == 0:
            if self.open + others >= admits:
                self.refusals += 1
                self.own.refused(self.open, now)
                self.all.refused(self.open + self.lease.elsewhere, now)
                return
            self.open += 1
            self.own.opened(self.open, now)
            self.all.opened(self.open + self.lease.elsewhere, now)


@pytest.mark.parametrize(("admits", "shares"), [(3, [1, 1, 1]), (7, [2, 2, 3]), (12, [4, 4, 4])])
def test_processes_share_the_limit_of_the_server_although_one_had_it_all(
    client: redis.Redis, admits: int, shares: list[int]
) -> None:
    processes = [Learning(client) for _ in range(3)]
    history = []
    for second in range(900):
        # The first is alone for a minute.
        for process in processes[: 3 if second > 60 else 1]:
            others = sum(other.open for other in processes) - process.open
            process.work(1_000.0 + second, admits, others)
        history.append(sorted(process.open for process in processes))
    assert history[60] == [0, 0, admits]
    fair = [found for found in history[120:] if found == shares]
    assert len(fair) >= 0.8 * len(history[120:])
    assert all(sum(found) >= admits - 1 for found in history[180:])
    assert sum(process.refusals for process in processes) <= 12
