"""Rates and quotas on a real Redis: exact with simultaneous requests, and reset each day."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import redis

from api.access.counters import Answer, Ask, Counters, Whose
from api.access.windows import DAILY, RATE, Day, Minute, left
from tests.environment import configured

NOON = 1_795_348_800.0  # some day at 12:00 UTC
MINE = Whose("1", 100, None)
TODAY = Whose("1", None, 100)


class Clock:
    """Clock whose time a test sets."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def counters(redis_url: str, clock: Clock) -> Iterator[Counters]:
    with configured(redis_url=redis_url) as settings:
        counting = Counters(settings, clock)
        yield counting
        counting.close()


def one(counters: Counters, whose: Whose, number: int = 1) -> Answer:
    [answer] = counters.run([Ask(whose, number)])
    return answer


def used(counters: Counters, whose: Whose) -> list[int]:
    return [window.used for window in one(counters, whose, 0).windows]


def test_requests_are_admitted_exactly_up_to_the_limit(counters: Counters) -> None:
    answers = [one(counters, MINE).refused for _ in range(102)]

    assert answers == [None] * 100 + [RATE] * 2
    assert used(counters, MINE) == [100]


def test_reading_the_counters_does_not_count(counters: Counters) -> None:
    whose = Whose("1", 5, 5)
    assert [used(counters, whose) for _ in range(10)] == [[0, 0]] * 10


def test_an_answer_has_what_is_left_and_when_more_is_available(counters: Counters) -> None:
    minute, day = one(counters, Whose("1", 10, 7), 7).windows

    assert isinstance(minute, Minute)
    assert (left(minute), left(day)) == (3, 0)
    assert 59 < minute.until(4) <= 61
    assert day == Day(7, 7, 43_200.0)


def test_a_request_refused_by_one_limit_counts_for_neither(counters: Counters) -> None:
    by_day, by_rate = Whose("1", 100, 10), Whose("2", 10, 100)
    for whose, policy in ((by_day, DAILY), (by_rate, RATE)):
        assert one(counters, whose, 8).refused is None
        assert one(counters, whose, 5).refused is policy
        assert used(counters, whose) == [8, 8]
        assert one(counters, whose, 2).refused is None


def test_a_quota_starts_again_at_midnight_utc(counters: Counters, clock: Clock) -> None:
    assert one(counters, TODAY, 100).refused is None
    clock.now = NOON + 12 * 3_600 - 0.001
    assert one(counters, TODAY).refused is DAILY
    clock.now = NOON + 12 * 3_600
    assert used(counters, TODAY) == [0]
    assert one(counters, TODAY, 100).refused is None
    assert one(counters, TODAY).refused is DAILY
    # One whose clock is behind goes on with the day before, and has nothing of the new one.
    clock.now = NOON + 12 * 3_600 - 1
    assert one(counters, TODAY).refused is DAILY


def test_a_changed_limit_does_not_change_the_used_count(counters: Counters) -> None:
    one(counters, Whose("1", 100, 100), 50)

    assert used(counters, Whose("1", 60, 200)) == [50, 50]
    lower = Whose("1", 20, 20)
    assert one(counters, lower).refused is DAILY
    assert [left(window) for window in one(counters, lower, 0).windows] == [0, 0]


def test_each_client_has_a_limit_of_its_own(counters: Counters) -> None:
    assert one(counters, MINE, 100).refused is None
    assert one(counters, MINE._replace(owner="2"), 100).refused is None
    assert one(counters, MINE._replace(owner="1/sandbox"), 100).refused is None
    assert one(counters, MINE).refused is RATE


def test_returned_quota_can_be_used_again_on_its_day(counters: Counters) -> None:
    whose = Whose("1", 1_000, 100)
    one(counters, whose, 100)
    one(counters, whose, -30)

    assert used(counters, whose) == [100, 70]
    assert one(counters, whose, 31).refused is DAILY
    assert one(counters, whose, 30).refused is None


def test_simultaneous_requests_are_admitted_up_to_the_limit(counters: Counters) -> None:
    other = MINE._replace(owner="2")
    asked = [Ask(MINE, 60), Ask(other, 100), Ask(MINE, 50), Ask(MINE, 40), Ask(MINE, 0), Ask(MINE, 1), Ask(other, 1)]

    assert [a.refused for a in counters.run(asked)] == [None, None, RATE, None, None, RATE, RATE]
    assert [used(counters, whose) for whose in (MINE, other)] == [[100], [100]]


def test_many_requests_in_one_call_are_counted_one_by_one(counters: Counters) -> None:
    assert [a.refused for a in counters.run([Ask(MINE, 1)] * 150)] == [None] * 100 + [RATE] * 50


@pytest.mark.parametrize("whose", [MINE, TODAY, Whose("1", 100, 150), Whose("1", 1_000, 100)])
def test_simultaneous_requests_never_exceed_the_limit(redis_url: str, clock: Clock, whose: Whose) -> None:
    with configured(redis_url=redis_url) as settings:
        processes = [Counters(settings, clock) for _ in range(8)]
        asks = [Ask(whose, number) for number in (1, 2, 3, 5)] * 10
        together = Barrier(len(processes))

        def ask(counting: Counters) -> list[Answer]:
            together.wait()
            return [answer for ask in asks for answer in counting.run([ask])]

        with ThreadPoolExecutor(len(processes)) as threads:
            refused = [answer.refused for answers in threads.map(ask, processes) for answer in answers]
        let_in = sum(ask.number for ask, by in zip(asks * 8, refused, strict=True) if by is None)
        windows = one(processes[0], whose, 0).windows

        assert let_in == 100
        assert min(left(window) for window in windows) == 0
        for process in processes:
            process.close()


def test_counts_lost_by_redis_start_again_at_zero(counters: Counters, redis_url: str) -> None:
    assert one(counters, MINE, 100).refused is None
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
        client.script_flush()

    assert one(counters, MINE, 100).refused is None
    assert one(counters, MINE).refused is RATE


def test_every_counter_in_redis_expires(counters: Counters, redis_url: str) -> None:
    one(counters, Whose("7", 10, 10), 3)
    with redis.Redis.from_url(redis_url) as client:
        names: list[bytes] = client.keys("dramatiq:limits:*")
        assert len(names) == 2
        assert all(0 < int(client.ttl(name)) <= 2 * 90_000 for name in names)
