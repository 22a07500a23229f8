"""Live statistics: pending notifications, counted to a bound, and the reports of the workers themselves."""

from __future__ import annotations

import time
from uuid import uuid4

import pytest

from db import breaker, lifecycle, live_stats, pauses, workers
from db.lifecycle import relay
from tests.integration.rows import GRACE, WORKER, accepted, alive, attempt, claimed, draft, in_seconds, passed

pytestmark = pytest.mark.usefixtures("store")


def waiting(priority: str = "normal", client: int = 1, count: int = 1) -> list[int]:
    drafts = [draft()._replace(queue=priority, client_id=client)] * count
    return [a.id for a in lifecycle.accept(drafts, GRACE)]


def test_pending_notifications_are_counted_by_priority_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting("high")
    waiting("bulk", count=3)
    waiting("bulk", client=2, count=2)
    claimed()

    assert {name: priority.waiting for name, priority in live_stats.priorities().items()} == {"high": 1, "bulk": 5}
    monkeypatch.setattr(live_stats, "COUNTED", 4)
    assert live_stats.priorities()["bulk"].waiting == 4


def test_the_oldest_notification_is_the_one_that_has_been_due_for_the_longest() -> None:
    [old], [older], [younger] = waiting(), waiting(client=7), waiting()
    for id, seconds in ((old, 20), (older, 40), (younger, 5)):
        passed(seconds, id)

    assert live_stats.priorities()["normal"].oldest_due >= 40
    lifecycle.claim([older], WORKER)
    assert 20 <= live_stats.priorities()["normal"].oldest_due < 40


def test_enqueueing_a_notification_again_does_not_change_its_age() -> None:
    [id] = waiting()
    passed(600, id)
    assert [due.id for due in relay.take_due("normal", GRACE, 0, 10)] == [id]

    assert live_stats.priorities()["normal"].oldest_due >= 600


def test_a_notification_that_is_to_be_sent_later_is_not_due() -> None:
    lifecycle.accept([draft()._replace(send_at=in_seconds(60))], GRACE)
    [held] = lifecycle.claim(waiting(), WORKER)
    lifecycle.settle([lifecycle.retry(held, attempt("deferred"), 30)], GRACE, time.monotonic())

    assert live_stats.priorities() == {"normal": (2, 0.0)}


def test_paused_notifications_raise_no_alarm() -> None:
    waiting()
    passed(600, waiting(client=2)[0])
    pauses.pause("client", "2")

    assert live_stats.priorities()["normal"].waiting == 2
    assert live_stats.priorities()["normal"].oldest_due < 300


def test_an_empty_system_has_empty_statistics() -> None:
    before = time.time()
    empty = live_stats.live_stats(30)

    assert (empty.accepted, empty.priorities, empty.providers, empty.workers) == (0, {}, [], [])
    assert before <= empty.at <= time.time()


def test_the_count_of_accepted_notifications_grows_with_each() -> None:
    accepted(3)
    before = live_stats.live_stats(30).accepted
    accepted(2)

    assert live_stats.live_stats(30).accepted - before == 2


def test_a_breaker_is_shown_with_its_reason() -> None:
    breaker.trip("mail:25", "connect: refused", 60)

    [provider] = live_stats.providers()
    assert (provider.name, provider.reason, provider.opened_at is not None) == ("mail:25", "connect: refused", True)
    assert provider.probe_in is not None
    assert 0 < provider.probe_in <= 60
    breaker.close("mail:25")
    assert live_stats.providers()[0].probe_in is None


def test_the_counts_of_a_worker_are_stored() -> None:
    worker = uuid4()
    workers.seen(workers.Heartbeat(worker, "host", 7, 8, {}, {"sent": 3}), 30)
    workers.seen(workers.Heartbeat(worker, "host", 7, 8, {}, {"sent": 5, "failed": 1}), 30)

    [seen] = live_stats.workers(30)
    assert (seen.id, seen.host, seen.pid, seen.threads, seen.alive) == (worker, "host", 7, 8, True)
    assert seen.counters == {"sent": 5, "failed": 1}


def test_a_worker_that_was_not_seen_for_too_long_is_not_alive() -> None:
    alive(uuid4(), seen_ago=31)
    alive(uuid4(), seen_ago=1)

    assert sorted((w.alive, round(w.silent_for / 10)) for w in live_stats.workers(30)) == [(False, 3), (True, 0)]
