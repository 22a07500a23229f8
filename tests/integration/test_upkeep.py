"""One round of upkeep on real servers: heartbeat, rescue, expiry, relay."""

from __future__ import annotations

import time
from functools import partial
from unittest import mock
from uuid import UUID, uuid4

import pytest
from dramatiq.message import Message

from actors import relay
from actors.counters import counters
from actors.delivery import Delivery
from actors.queue import wake_up
from actors.queue.broker import get_broker
from actors.queue.priorities import MAIN as QUEUE
from actors.queue.wake_up import messages
from actors.upkeep import Upkeep
from db import history, lifecycle, listeners, workers
from db.database import Unavailable, connection, rows
from runtime.metrics import exposition
from settings import Settings
from tests.environment import configured
from tests.eventually import eventually
from tests.integration.delivering import Process
from tests.integration.rows import CLIENT, GRACE, accepted, alive, claimed, draft, passed, row, status
from tests.integration.test_wake_ups import lists, waiting
from tests.scrapes import Scrape

pytestmark = pytest.mark.usefixtures("store", "redis_url")

broker = get_broker()


def upkeep(worker: UUID, **values: object) -> Upkeep:
    with configured(smtp_url="smtp://127.0.0.1:9", mail_from="a@example.com", **values) as current:
        return Upkeep(current, worker, 8, Process(current, worker).delivery, ["email"])


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wake_up, "MESSAGE_SIZE", 5)
    monkeypatch.setattr(relay, "BATCH", 10)


def test_a_round_records_a_heartbeat() -> None:
    worker = uuid4()
    upkeep(worker).tick()
    [(id, threads)] = rows("SELECT id, threads FROM workers")
    assert (id, threads) == (worker, 8)


@pytest.mark.parametrize(("seconds", "late"), [(400.0, False), (600.0, True)])
def test_a_round_notices_by_the_database_clock_that_its_machine_was_paused(seconds: float, late: bool) -> None:
    one, seen, paused = upkeep(uuid4(), worker_timeout=1_000), workers.seen, 0.0
    with (
        mock.patch.object(workers, "seen", lambda *given: seen(*given) + paused),
        mock.patch.object(Delivery, "beaten") as beaten,
    ):
        one.tick()
        paused = seconds
        one.tick()
    assert [call.kwargs["late"] for call in beaten.call_args_list] == [False, late]


def test_a_round_records_the_counts_of_the_worker() -> None:
    passed(GRACE + 1, accepted()[0])
    before = counters.all().get("relayed", 0)
    one = upkeep(worker := uuid4(), upkeep_interval=0.05)
    one.tick()
    assert counters.all()["relayed"] == before + 1

    def told() -> bool:
        one.tick()
        return rows("SELECT (tallies->>'relayed')::int FROM workers WHERE id = %s", str(worker)) == [(before + 1,)]

    eventually(told)


def test_a_round_adds_finished_notifications_to_the_history() -> None:
    ids = accepted(2)
    assert lifecycle.cancel(ids[0], CLIENT)
    upkeep(uuid4()).tick()
    assert history.read(CLIENT, history.WINDOWS["24h"], "type").total.cancelled == 1
    assert rows("SELECT * FROM history_new") == []


def test_a_round_continues_if_the_history_cannot_be_updated() -> None:
    [id] = accepted()
    passed(GRACE + 1, id)
    with mock.patch.object(history, "fold", side_effect=Unavailable("no answer")):
        upkeep(uuid4()).tick()
    assert row(id)["rung"]


def test_metrics_count_the_notifications_that_a_round_moved() -> None:
    def counted() -> dict[str, float]:
        seen = Scrape(exposition.page(False, False).body.decode())
        return {action: seen.sum("notify_upkeep_notifications_total", action=action) for action in actions}

    actions = ("rescued", "expired", "relayed")
    before = counted()
    dead, [late, due] = [claimed(uuid4()) for _ in range(3)], accepted(2)
    rows("UPDATE notifications SET expires_at = now() WHERE id = %s", late)
    passed(GRACE + 1, due)
    upkeep(alive(uuid4(), steady_for=100)).tick()

    after = counted()
    grown = {action: after[action] - before[action] for action in actions}
    assert grown == {"rescued": len(dead), "expired": 1, "relayed": len(dead) + 1}


def test_a_round_enqueues_due_notifications_in_lists_and_once() -> None:
    ids = accepted(40)
    for id in ids:
        passed(GRACE + 1, id)
    one = upkeep(uuid4())
    one.tick()
    assert lists() == [ids[n : n + 5] for n in range(0, 40, 5)]
    one.tick()
    assert len(lists()) == 8


def test_a_round_deletes_old_changes_and_expired_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.upkeep.CHANGES_AT_ONCE", 2)
    listeners.hold([CLIENT], 60)
    accepted(7)
    rows("UPDATE changes SET at = at - interval '61 seconds' WHERE id <= 5")
    rows("UPDATE listeners SET until = now()")
    upkeep(uuid4(), stream_kept=60, upkeep_interval=5).tick()
    assert [id for (id,) in rows("SELECT id FROM changes ORDER BY id")] == [6, 7]
    assert rows("SELECT client_id FROM listeners") == []


def test_a_rescued_row_is_enqueued_alone() -> None:
    dead = [claimed(uuid4()) for _ in range(3)]
    worker = alive(uuid4(), steady_for=100)
    upkeep(worker).tick()
    assert lists() == [[c.id] for c in dead]
    assert all(row(c.id)["alone"] for c in dead)


def test_an_expired_notification_is_failed_and_not_enqueued() -> None:
    [id] = accepted()
    passed(GRACE + 1, id)
    rows("UPDATE notifications SET expires_at = now() WHERE id = %s", id)
    upkeep(uuid4()).tick()
    assert status(id) == "failed"
    assert lists() == []


def test_a_backlog_is_enqueued_only_up_to_the_watermark(small_steps: None) -> None:
    for id in accepted(100):
        passed(GRACE + 1, id)
    one = upkeep(uuid4(), relay_watermark=4)
    one.tick()
    enqueued = [id for ids in lists() for id in ids]
    assert 4 * 5 >= len(enqueued) >= 4
    one.tick()
    assert [id for ids in lists() for id in ids] == enqueued


def test_notifications_that_the_api_left_to_the_relay_are_enqueued_in_the_next_round() -> None:
    left = lifecycle.accept([draft()], GRACE, {("normal", CLIENT)})
    lifecycle.accept([draft()], GRACE, {("high", CLIENT), ("normal", CLIENT + 1)})
    upkeep(uuid4()).tick()
    assert lists() == [[left[0].id]]


def test_a_queue_is_refilled_within_a_round_while_more_notifications_are_pending(small_steps: None) -> None:
    ids = [one.id for one in lifecycle.accept([draft() for _ in range(60)], GRACE, {("normal", CLIENT)})]
    thread = upkeep(uuid4(), upkeep_interval=20, worker_timeout=60, relay_watermark=4)
    thread.start()
    enqueued: list[int] = []

    def taken() -> bool:
        while message := broker.client.lpop(f"dramatiq:{QUEUE}"):
            body = broker.client.hget(f"dramatiq:{QUEUE}.msgs", message)  # type: ignore[arg-type]
            enqueued.extend(Message.decode(body).args[0])  # type: ignore[arg-type]
        return len(enqueued) >= len(ids)

    eventually(taken, within=18)
    thread.stop(10)
    assert sorted(enqueued) == ids


def test_notifications_are_enqueued_again_after_redis_was_flushed_and_the_grace_is_over(store: Settings) -> None:
    ids = accepted(3)
    for id in ids:
        passed(GRACE + 1, id)
    one = upkeep(uuid4())
    one.tick()
    broker.client.flushall()
    for id in ids:
        passed(GRACE + 1, id)
    one.tick()
    assert sorted(id for ids in lists() for id in ids) == ids


def test_old_idempotency_keys_are_deleted() -> None:
    for key, hours in (("old", 25), ("new", 23)):
        rows("INSERT INTO idempotency_keys VALUES (1, %s, '', now() - %s * interval '1 hour')", key, hours)
    upkeep(uuid4()).tick()
    assert rows("SELECT key FROM idempotency_keys") == [("new",)]


def test_stopping_upkeep_deletes_the_row_of_its_worker() -> None:
    worker = uuid4()
    thread = upkeep(worker, upkeep_interval=0.05)
    thread.start()
    thread.stop(10)
    assert not thread.is_alive()
    with connection():
        assert rows("SELECT id FROM workers") == []


def test_a_wake_up_message_of_the_relay_has_the_age_of_its_rows() -> None:
    """Otherwise rows whose message still waits would look older than every waiting message, and be enqueued again."""
    for id in accepted(40):
        passed(GRACE + 1, id)
    upkeep(uuid4()).tick()
    stamps = rows("SELECT extract(epoch FROM dispatch_after)::float8 - %s FROM notifications", GRACE)
    dates = {broker.enqueued_at(message) for message in waiting()}
    assert len(dates) == 1
    assert [stamp for (stamp,) in stamps] == [pytest.approx(dates.pop(), abs=0.002)] * 40


def test_a_wake_up_message_is_dated_by_the_clock_of_the_database() -> None:
    worker = upkeep(uuid4())
    with mock.patch.object(time, "time", partial(float, time.time() + 300)):
        worker.tick()
        broker.enqueue_all(messages([1], 1, 50))
        assert -1 < broker.oldest_message(QUEUE) < 100
    worker.tick()
    assert -1 < broker.oldest_message(QUEUE) < 100
