"""Counts of pending notifications: for each client, no further than its limit, by one worker at a time."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, cast
from uuid import uuid4

import pytest

from db import backlogs, lifecycle
from db.database import Unavailable, connection, rows
from tests.integration.racing import at_once
from tests.integration.rows import GRACE, WORKER, claimed, draft, failed, in_seconds
from tests.integration.test_upkeep import upkeep

pytestmark = pytest.mark.usefixtures("store")

NONE = 0


@pytest.fixture(autouse=True)
def clients(store: object) -> None:
    """Three of them; the third may have two waiting."""
    rows("TRUNCATE clients, keys, domains, domain_keys RESTART IDENTITY")
    rows("INSERT INTO clients (name, pending_limit) VALUES ('default', NULL), ('two', NULL), ('three', 2)")


def waiting(client: int, count: int, priority: str = "normal") -> list[int]:
    drafts = [draft()._replace(client_id=client, queue=priority)] * count
    return [a.id for a in lifecycle.accept(drafts, GRACE)]


def counted(limit: int = 100) -> dict[int, int]:
    backlogs.count(limit, 1, 10)
    return backlogs.read().pending


def test_pending_notifications_are_counted_over_all_priorities_that_clients_may_use() -> None:
    for priority, count in (("high", 1), ("normal", 2), ("bulk", 4)):
        waiting(1, count, priority)
    waiting(2, 3)
    claimed()
    failed()

    assert counted() == {1: 7, 2: 3}


def test_callbacks_are_not_counted() -> None:
    rows("UPDATE notifications SET lane = 'callback' WHERE id = ANY(%s)", [*waiting(1, 2), *waiting(2, 2)])
    waiting(2, 1)

    assert counted() == {2: 1}


def test_counting_a_client_stops_one_above_its_limit() -> None:
    for client in (1, 2, 3):
        waiting(client, 9)

    assert counted(5) == {1: 6, 2: 6, 3: 3}
    assert counted(NONE) == {3: 3}


def test_sandbox_notifications_are_counted_separately_up_to_the_same_limit() -> None:
    waiting(1, 2)
    waiting(2, 1)
    for client, count in ((1, 9), (3, 9)):
        lifecycle.accept([draft()._replace(client_id=client, sandbox=True)] * count, GRACE)

    assert counted(5) == {1: 2, -1: 6, 2: 1, -3: 3}
    waiting(3, 9)
    assert counted(5) == {1: 2, -1: 6, 2: 1, 3: 3, -3: 3}


def test_scheduled_notifications_count_as_pending() -> None:
    lifecycle.accept([draft()._replace(send_at=in_seconds(3_600))], GRACE)

    assert counted() == {1: 1}


def test_a_new_count_replaces_the_previous_one() -> None:
    ids, _ = waiting(1, 3), waiting(2, 1)
    assert counted() == {1: 3, 2: 1}
    lifecycle.claim(ids[:2], WORKER)
    lifecycle.cancel(ids[2], 1)
    assert counted() == {2: 1}


def test_the_time_of_a_count_is_stored() -> None:
    assert backlogs.read() == (0.0, {})
    before = in_seconds(0).timestamp()
    counted()
    assert before <= backlogs.read().counted_at <= in_seconds(0).timestamp()


def test_one_of_many_workers_takes_the_turn_to_count() -> None:
    def asked() -> bool:
        with connection():
            return backlogs.take_turn()

    assert sorted(at_once([asked] * 8)) == [False] * 7 + [True]
    assert not backlogs.take_turn()
    backlogs.count(100, 30, 10)
    assert not backlogs.take_turn()
    rows("UPDATE backlog_counts SET due_at = due_at - interval '30 seconds'")
    assert backlogs.take_turn()


def test_another_worker_counts_after_the_lease_of_the_turn_has_ended() -> None:
    assert backlogs.take_turn()
    rows("UPDATE backlog_counts SET due_at = due_at - %s * interval '1 second'", backlogs.LEASE)
    assert backlogs.take_turn()


def test_a_count_that_takes_too_long_is_aborted_and_changes_nothing() -> None:
    waiting(1, 50_000)
    with pytest.raises(Unavailable), connection():
        backlogs.count(1_000_000, 1, 0.001)
    with connection():
        assert backlogs.read() == (0.0, {})
        assert counted(1_000_000) == {1: 50_000}


@pytest.mark.usefixtures("redis_url")
def test_an_aborted_count_does_not_stop_upkeep_from_enqueueing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    [id] = waiting(1, 1)
    one = upkeep(uuid4())
    one.tick()
    assert backlogs.read().pending == {1: 1}

    def too_long(*_: object) -> None:
        raise Unavailable("canceling statement due to statement timeout")

    monkeypatch.setattr(backlogs, "count", too_long)
    rows("UPDATE backlog_counts SET due_at = now()")
    rows("UPDATE notifications SET dispatch_after = now() - interval '1 hour', rung = false WHERE id = %s", id)
    one.tick()
    assert rows("SELECT rung FROM notifications WHERE id = %s", id) == [(True,)]


def test_no_count_reads_the_whole_table(caplog: pytest.LogCaptureFixture) -> None:
    rows(
        "INSERT INTO notifications (type, recipient, subject, message, status, finished_at, client_id,"
        " next_attempt_at, dispatch_after) SELECT 'email', 'a@example.com', 'Hi', 'Hello', 'sent', now(), 1 + n %% 3,"
        " NULL, NULL FROM generate_series(1, %s) AS n",
        5_000,
    )
    waiting(1, 500)
    rows("SELECT set_config('enable_seqscan', 'off', false)")
    with caplog.at_level(logging.DEBUG, logger="peewee"):
        counted()
    [(sql, values)] = [cast(tuple[str, Sequence[Any]], r.msg) for r in caplog.records if "RECURSIVE" in str(r.msg)]
    plan = "\n".join(line for (line,) in rows(f"EXPLAIN {sql}", *values))
    rows("RESET enable_seqscan")

    assert "Seq Scan on notifications" not in plan, plan
    assert "notifications_relay" in plan, plan
