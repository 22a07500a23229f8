"""Learned limits of a mail server: they converge to what it takes, cost few refusals, and are forgotten."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.channels.backoff import KEPT, KEPT_AT_MOST
from actors.channels.capacity import RECONNECT_AT_MOST, Capacity
from actors.channels.speed import GAP_AT_MOST, HOLD, HOLD_AT_MOST
from tests.unit.simulated_mail import Pool, Server

HOUR = 3_600.0
FULL = 100  # mails in a second over 20 connections, where each answer takes 0.2 s


@pytest.mark.parametrize(("admits", "most"), [(1, 20), (3, 20), (4, 5), (19, 20), (20, 20), (5, 1)])
def test_the_number_of_connections_settles_at_the_limit_of_the_server(admits: int, most: int) -> None:
    pool = Pool(Server(admits=admits), most)
    assert pool.run(600) >= 0.95 * 600 * 5 * min(admits, most)
    # The first burst, and a try after 60, 180 and 420 seconds.
    assert pool.refused <= max(0, most - admits) + 5
    assert pool.fewest >= 1


def test_the_number_of_refused_connections_does_not_grow_with_the_mails() -> None:
    pool = Pool(Server(admits=3))
    pool.run(HOUR)
    first = pool.refused
    pool.run(HOUR)
    assert pool.refused - first <= HOUR / KEPT_AT_MOST + 1


@pytest.mark.parametrize("at_once", [1, 2, 3, 4, 8, 16, 19])
def test_the_number_of_simultaneous_mails_settles_at_the_limit_of_the_server(at_once: int) -> None:
    pool = Pool(Server(at_once=at_once))
    assert pool.run(900) >= 0.85 * 900 * 5 * at_once
    assert pool.throttled <= 60
    before = pool.throttled
    pool.run(900)
    # Two tries; each costs what is under way.
    assert pool.throttled - before <= 40


@pytest.mark.parametrize(("rate", "latency"), [(1, 0.001), (3, 0.5), (14, 0.1), (21, 0.1), (50, 0.02), (50, 0.05)])
def test_mails_are_sent_at_about_the_rate_limit_of_the_server(rate: int, latency: float) -> None:
    pool = Pool(Server(rate=rate, latency=latency))
    ideal = min(rate, 20 / latency)
    pool.run(60)
    assert pool.run(600) >= 0.5 * 600 * ideal
    assert pool.throttled <= 90
    before = pool.throttled
    pool.run(600)
    assert pool.throttled - before <= 40


@pytest.mark.parametrize(("rate", "window"), [(100, 60), (30, 60), (10, 60), (1, 60), (600, HOUR)])
def test_most_of_the_allowance_of_a_long_rate_window_is_used(rate: int, window: float) -> None:
    pool = Pool(Server(rate=rate, window=window, latency=0.02))
    assert pool.run(2 * HOUR) >= 0.75 * 2 * HOUR * rate / window
    before = pool.throttled
    assert before <= 400
    pool.run(HOUR)
    assert pool.throttled - before <= 2 * HOUR / HOLD_AT_MOST + 20


@pytest.mark.parametrize("messages", [1, 2, 10, 50])
def test_connections_are_replaced_before_the_servers_limit_of_mails_per_connection(messages: int) -> None:
    pool = Pool(Server(messages=messages))
    # One round trip opens each connection.
    assert pool.run(900) >= 0.95 * 900 * FULL * messages / (messages + 1)
    first = pool.spent
    assert first <= 20 * 5
    pool.run(900)
    assert pool.spent - first <= 20


@pytest.mark.parametrize("change", ["admits", "at_once", "rate", "messages"])
@pytest.mark.parametrize("limit", [2, 10])
def test_a_limit_that_the_server_lifts_is_forgotten_within_minutes(change: str, limit: int) -> None:
    server = Server()
    setattr(server, change, limit)
    pool = Pool(server)
    pool.run(300)
    setattr(server, change, inf)
    pool.run(8 * 60)
    assert pool.run(60) >= 0.95 * 60 * FULL


def test_a_limit_that_the_server_changes_is_followed() -> None:
    pool = Pool(server := Server(admits=12))
    pool.run(900)
    server.admits = 3
    refused = pool.refused
    pool.run(900)
    assert pool.refused - refused <= 20
    server.admits = 12
    pool.run(KEPT_AT_MOST + 60)
    assert pool.run(60) >= 0.95 * 60 * 12 * 5


def test_full_speed_returns_within_minutes_of_a_minute_of_throttling() -> None:
    pool = Pool(server := Server())
    pool.run(60)
    server.throttles = True
    assert pool.run(60) == 0
    assert pool.throttled <= 50
    server.throttles = False
    pool.run(240)
    assert pool.run(60) >= 0.95 * 60 * FULL
    assert pool.fewest >= 1


def test_a_day_of_throttling_costs_one_refusal_a_minute_and_full_speed_returns() -> None:
    pool = Pool(server := Server(throttles=True))
    pool.run(24 * HOUR)
    assert pool.throttled <= 50 + 24 * HOUR / HOLD_AT_MOST
    server.throttles = False
    pool.run(HOLD_AT_MOST + 240)
    assert pool.run(60) >= 0.95 * 60 * FULL


def test_after_an_outage_all_connections_are_back_at_once() -> None:
    pool = Pool(server := Server())
    pool.run(60)
    server.admits = 0
    pool.run(600)
    assert not pool.connections
    assert pool.refused <= 600 / RECONNECT_AT_MOST + 40
    server.admits = inf
    pool.run(RECONNECT_AT_MOST + 20)
    assert pool.run(60) >= 0.95 * 60 * FULL


def test_one_connection_is_retried_while_other_processes_use_all() -> None:
    capacity = Capacity(20)
    now, tried = 0.0, 0
    while now < HOUR:
        tried += 1
        capacity.refused(0, now)
        assert capacity.limit(now) == 1
        assert 0 < capacity.reconnect(now) <= RECONNECT_AT_MOST
        now += capacity.reconnect(now)
    assert tried <= HOUR / RECONNECT_AT_MOST + 10
    capacity.opened(1, now)
    assert capacity.reconnect(now) == 0
    assert capacity.limit(now) == 2


def test_simultaneous_refusals_count_once() -> None:
    capacity = Capacity(20)
    for _ in range(17):
        capacity.refused(3, 100.0)
    assert capacity.limit(100.0 + KEPT - 1) == 3
    assert capacity.limit(100.0 + KEPT) == 4


def test_the_delay_doubles_with_each_refusal_up_to_the_limit() -> None:
    capacity, now = Capacity(20), 0.0
    waits = []
    for _ in range(6):
        capacity.refused(3, now)
        since = now
        while capacity.limit(now) == 3:
            now += 1
        waits.append(now - since)
    assert waits == [60, 120, 240, 480, 600, 600]


def test_a_refusal_due_to_a_connection_not_yet_closed_lowers_the_limit_for_a_minute() -> None:
    capacity, now = Capacity(20), 0.0
    for _ in range(5):
        capacity.refused(3, now)
        while capacity.limit(now) == 3:
            now += 1
    capacity.refused(3, now)
    capacity.refused(2, now + 1)
    assert capacity.limit(now + 2) == 2
    assert capacity.limit(now + 1 + KEPT) == 3
    capacity.opened(3, now + 1 + KEPT)
    assert capacity.limit(now + 1 + KEPT) == 4


def test_simultaneous_throttling_replies_count_once() -> None:
    capacity = Capacity(20)
    for n in range(10):
        capacity.throttled(20, 99.0, 100.0 + n / 100)
    assert capacity.limit(101.0) == 10
    assert capacity.pause(100.0) == HOLD


def test_throttling_replies_to_mails_begun_before_a_slowdown_do_not_slow_down_further() -> None:
    capacity = Capacity(20)
    capacity.throttled(20, 99.0, 100.0)
    capacity.throttled(20, 99.9, 130.0)
    assert capacity.limit(130.0) == 10


def test_with_one_connection_the_pause_doubles_up_to_a_minute_while_no_mail_is_taken() -> None:
    capacity, now = Capacity(1), 0.0
    pauses = []
    for _ in range(8):
        capacity.throttled(1, now, now)
        pauses.append(capacity.pause(now))
        now += capacity.pause(now)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_learned_limit_of_mails_per_connection_is_forgotten_after_a_while() -> None:
    capacity = Capacity(20)
    for n, mails in enumerate((1, 40, 7, 90)):
        now = n * 1_000.0
        capacity.spent(mails, now)
        assert capacity.messages(now) == mails
        assert capacity.messages(now + KEPT) is None


def test_a_refusal_on_a_new_connection_does_not_limit_the_mails_per_connection() -> None:
    capacity = Capacity(20)
    capacity.spent(0, 1.0)
    assert capacity.messages(1.0) is None


@pytest.mark.parametrize("most", [0, 1, 5])
def test_the_limit_never_exceeds_the_granted_connections(most: int) -> None:
    capacity = Capacity(20)
    capacity.most = most
    assert capacity.limit(0.0) == most
    capacity.refused(10, 0.0)
    capacity.throttled(10, 0.0, 0.0)
    assert capacity.limit(0.0) == most


def test_limits_of_a_server_that_was_unused_for_long_are_forgotten() -> None:
    capacity = Capacity(20)
    for n in range(20):
        capacity.throttled(1, n * 100.0, n * 100.0)
        capacity.took(n * 100.0 + 99)
    later = 20 * 100.0 + 2 * KEPT_AT_MOST
    assert capacity.limit(later) == 20
    assert capacity.pause(later) == 0


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["refused", "opened", "throttled", "took", "began", "spent"]),
        st.integers(0, 20),
        st.floats(0, 200),
    ),
    max_size=60,
)


@given(events=EVENTS, most=st.integers(1, 20))
def test_a_server_always_gets_some_mail_and_returns_to_full_speed_after_any_replies(
    events: list[tuple[str, int, float]], most: int
) -> None:
    capacity, now = Capacity(most), 0.0
    for event, number, seconds in events:
        now += seconds
        match event:
            case "refused":
                capacity.refused(number, now)
            case "opened":
                capacity.opened(number, now)
            case "throttled":
                capacity.throttled(number, now, now)
            case "took":
                capacity.took(now)
            case "began":
                capacity.began(now)
            case _:
                capacity.spent(number, now)
        assert 1 <= capacity.limit(now) <= most
        assert 0 <= capacity.pause(now) <= max(GAP_AT_MOST, HOLD_AT_MOST)
        assert 0 <= capacity.reconnect(now) <= RECONNECT_AT_MOST
        assert capacity.messages(now) is None or 1 <= (capacity.messages(now) or 0) <= 20
    end = now + 2 * HOUR
    opened = 0
    while now < end:
        now += max(1.0, capacity.pause(now))
        if opened < capacity.limit(now):
            opened += 1
            capacity.opened(opened, now)
        capacity.began(now)
        capacity.took(now)
    assert capacity.limit(now) == most
    assert capacity.pause(now) == 0
    assert capacity.messages(now) is None
