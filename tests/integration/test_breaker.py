"""The breaker that all workers share: it opens, admits one probe at a time, closes, and releases the backlog
gradually."""

from __future__ import annotations

from functools import partial
from unittest import mock
from uuid import uuid4

import pytest

from actors.breaker import ALL, NONE, ONE, Breaker
from actors.evidence import About
from db import breaker
from db.database import Unavailable, rows
from settings import Settings
from tests import loops
from tests.environment import configured
from tests.eventually import eventually
from tests.integration import racing
from tests.integration.racing import at_once
from tests.integration.rows import alive

MAIL = "mail.example.com:587"


@pytest.fixture
def process(store: Settings) -> Process:
    return Process()


class Process:
    """The breaker as one worker process sees it, for tests that are no coroutines."""

    def __init__(self, **values: object) -> None:
        self.worker = alive(uuid4(), steady_for=100)
        with configured(**{"probe_wait": 5, "probe_wait_max": 20, **values}) as current:
            self.breaker = Breaker(current, MAIL, self.worker)
        self.refresh, self.share = self.breaker.refresh, self.breaker.share

    @property
    def open(self) -> bool:
        return self.breaker.open

    def admits(self) -> int:
        return loops.run(self.breaker.admits())

    def unused(self) -> None:
        loops.run(self.breaker.unused())

    def heard(self, *, down: bool, probe: bool, reason: str = "", about: About | None = None) -> None:
        loops.run(self.breaker.heard(down=down, probe=probe, reason=reason, about=about))

    def down(self, times: int = 1, *, probe: bool = False) -> None:
        for _ in range(times):
            self.heard(down=True, probe=probe, reason="connect: refused")

    def well(self, *, probe: bool = False) -> None:
        self.heard(down=False, probe=probe)


def passed(seconds: float) -> None:
    rows(
        "UPDATE providers SET probe_after = probe_after - %s * interval '1 second',"
        " closed_at = closed_at - %s * interval '1 second'",
        seconds,
        seconds,
    )


def test_a_provider_without_failures_admits_everything(process: Process) -> None:
    process.refresh()
    assert process.admits() == ALL


def test_the_breaker_opens_after_the_threshold_of_consecutive_failures(process: Process) -> None:
    process.down(4)
    process.well()
    process.down(4)
    assert process.admits() == ALL
    process.down()
    assert process.admits() == NONE


def test_a_breaker_opened_by_one_process_is_open_in_all(process: Process) -> None:
    process.down(5)
    other = Process()
    other.refresh()
    assert other.open
    assert other.admits() == NONE


def test_after_the_wait_one_of_all_processes_may_probe(process: Process) -> None:
    process.down(5)
    passed(5)
    others = [Process() for _ in range(6)]
    for other in others:
        other.refresh()
    assert sorted(other.admits() for other in others) == [NONE] * 5 + [ONE]


def test_only_one_of_many_simultaneous_askers_may_probe(process: Process) -> None:
    for _ in range(20):
        breaker.trip(MAIL, "down", 0)
        assert sum(at_once([partial(breaker.take_probe, MAIL, uuid4(), 60, 30)] * 6)) == 1
        breaker.close(MAIL)


def test_the_delay_between_probes_grows(process: Process) -> None:
    process.down(5)
    waits = []
    for _ in range(4):
        passed(1000)
        process.refresh()
        assert process.admits() == ONE
        process.down(probe=True)
        waits.append(round(breaker.state(MAIL, 30).probe_in))
    assert waits == [10, 20, 20, 20]


def test_a_probe_without_a_result_is_followed_by_another_after_its_lease(process: Process) -> None:
    process.down(5)
    passed(5)
    process.refresh()
    assert process.admits() == ONE
    assert round(breaker.state(MAIL, 30).probe_in) == 300
    passed(300)
    process.refresh()
    assert process.admits() == ONE


def test_the_probe_of_a_worker_that_died_is_followed_by_another_at_once(process: Process) -> None:
    process.down(5)
    passed(5)
    process.refresh()
    assert process.admits() == ONE
    other, fresh = Process(), Process()
    alive(process.worker, seen_ago=31)
    alive(fresh.worker, steady_for=29)
    for one in (fresh, other):
        one.refresh()
    assert (fresh.admits(), other.admits()) == (NONE, ONE)


def test_failures_before_a_breaker_closed_do_not_count_again(process: Process) -> None:
    other = Process()
    other.down(4)
    process.down(5)
    other.refresh()
    breaker.close(MAIL)
    other.refresh()
    other.down(1)
    assert other.admits() == ALL


def test_a_probe_without_a_notification_to_send_is_available_again_at_once(process: Process) -> None:
    process.down(5)
    passed(5)
    process.refresh()
    assert process.admits() == ONE
    process.unused()
    assert process.admits() == ONE


def test_a_successful_probe_closes_the_breaker_for_all_processes(process: Process) -> None:
    other = Process()
    process.down(5)
    passed(5)
    process.refresh()
    assert process.admits() == ONE
    process.well(probe=True)
    other.refresh()
    assert (process.admits(), other.admits()) == (ALL, ALL)


def test_a_mail_begun_before_the_breaker_opened_does_not_close_it(process: Process) -> None:
    process.down(5)
    process.well()
    process.refresh()
    assert process.open


def test_the_backlog_is_sent_gradually_after_the_breaker_closed(process: Process) -> None:
    process.down(5)
    breaker.close(MAIL)
    shares = []
    for _ in range(12):
        process.refresh()
        shares.append(process.share(10_000, 0.5))
        passed(1)
    # Twice as many each second; on a busy machine more time may have passed.
    assert shares[0] < 100
    assert all(share >= 4 * 2**seconds for seconds, share in enumerate(shares[:4])), shares
    assert shares[-1] == 10_000


def test_relay_may_enqueue_one_notification_when_a_probe_of_an_open_breaker_is_due(process: Process) -> None:
    process.down(5)
    process.refresh()
    assert process.share(10_000, 1) == NONE
    passed(5)
    process.refresh()
    assert process.share(10_000, 1) == ONE


def test_the_breaker_opens_in_its_own_process_without_the_database(process: Process) -> None:
    with mock.patch.object(breaker, "trip", side_effect=Unavailable("away")):
        process.down(5)
    assert process.open
    assert breaker.state(MAIL, 30) == breaker.State(open=False)


def test_asking_the_breaker_keeps_no_database_connection(process: Process) -> None:
    racing.end()
    process.down(5)
    eventually(lambda: rows("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()") == [(1,)])
