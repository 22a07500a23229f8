"""Retention of single rows: expired notifications are deleted with their own rows, and nothing else."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import closing
from functools import partial
from unittest import mock

import pytest
from peewee import OperationalError

from db import idempotency, lifecycle, reports, retention, timeline
from db.database import connection, database, rows
from db.idempotency import Key, Post, Refusal, accept_once
from db.policy import Policy, Step
from settings import Settings
from tests.eventually import eventually
from tests.integration.ends import ALIKE, BOUNDS, DAY, Elsewhere, aged, ended, left, orphans, removed
from tests.integration.racing import ROUNDS, at_once
from tests.integration.rows import CLIENT, GRACE, WORKER, attempt, draft, ended_sessions, status
from tests.processes import ROOT

pytestmark = pytest.mark.usefixtures("store")

FINAL = ("sent", "failed", "cancelled")


def deleted(policy: Policy = ALIKE) -> int:
    return sum(step.rows for step in retention.sweep(policy, BOUNDS))


def test_an_unfinished_notification_is_kept_at_any_age() -> None:
    ids = [*ended("pending", 10_000 * DAY, 9), *ended("processing", 10_000 * DAY, 9)]
    assert deleted(Policy(0.001, 0.001, 0.001)) == 0
    assert left() == ids


@pytest.mark.parametrize("state", FINAL)
def test_each_status_has_its_own_retention_time(state: str) -> None:
    old = {each: ended(each, 10 * DAY, 5) for each in FINAL}
    young = {each: ended(each, 8 * DAY, 5) for each in FINAL}
    assert deleted(Policy(**{state: 9 * DAY})) == 5
    kept = [id for each in FINAL for id in ([] if each == state else old[each]) + young[each]]
    assert left() == sorted(kept)
    assert orphans() == []


def test_the_retention_time_of_a_notification_is_counted_from_its_end() -> None:
    [id] = ended(ago=3 * DAY)
    rows("UPDATE notifications SET finished_at = now() - interval '23 hours' WHERE id = %s", id)
    assert deleted() == 0
    rows("UPDATE notifications SET finished_at = now() - interval '25 hours' WHERE id = %s", id)
    assert deleted() == 1


def test_a_row_is_kept_longer_by_the_lateness_so_that_its_block_can_be_dropped() -> None:
    ended(ago=2.5 * DAY)
    assert deleted(ALIKE._replace(lateness=2 * DAY)) == 0
    assert deleted(ALIKE._replace(lateness=DAY)) == 1


def test_a_sweep_without_a_policy_reads_and_deletes_nothing() -> None:
    ids = ended(ago=10_000 * DAY, count=3)
    assert removed(Policy()) == []
    assert left() == ids


def test_a_notification_is_deleted_with_all_its_own_rows_and_none_of_others() -> None:
    gone, kept = ended("failed")[0], ended("failed", ago=DAY / 2)[0]
    for id in (gone, kept):
        rows("INSERT INTO attachments (notification_id, number, content) VALUES (%s, 1, 'x')", id)
        rows("INSERT INTO events (notification_id, name) VALUES (%s, 'noticed')", id)
    assert deleted() == 1
    assert left() == [kept]
    for table in ("attempts", "attachments", "events"):
        assert rows(f"SELECT notification_id FROM {table}") == [(kept,)]
    assert reports.notification(gone, CLIENT) is None
    assert reports.attempts(gone, CLIENT) == []
    assert timeline.events(gone, CLIENT) is None


def test_a_replay_does_not_send_a_deleted_notification_again() -> None:
    post = Post(draft(), Key("k", b"digest"))
    accept_once([post], GRACE, 1)
    lifecycle.cancel(1, CLIENT)
    aged([1], 2 * DAY)
    assert deleted() == 1
    assert idempotency.find(CLIENT, Key("k", b"digest")) is Refusal.GONE
    assert accept_once([post], GRACE, 1) == [Refusal.GONE]


def test_a_callback_is_kept_longer_than_its_notification_and_deleted_by_its_own_age() -> None:
    rows("INSERT INTO callbacks (client_id, url, description, events, secret) VALUES (1, 'u', '', '{sent}', 's')")
    [told] = ended()
    [(callback, subject)] = rows("SELECT id, subject_id FROM notifications WHERE type = 'callback'")
    assert subject == told
    assert deleted() == 1
    assert left() == [callback]
    [held] = lifecycle.claim([callback], WORKER)
    lifecycle.settle([lifecycle.sent(held, attempt())], GRACE, time.monotonic())
    assert deleted() == 0
    aged([callback], 2 * DAY)
    assert deleted() == 1


def test_no_statement_looks_at_more_rows_than_a_batch() -> None:
    ended(count=30)
    assert [step.rows for step in retention.sweep(ALIKE, BOUNDS)] == [7, 7, 7, 7, 2]


def test_a_sweep_stops_at_the_first_row_that_is_too_young() -> None:
    ended(count=7)
    ended(ago=0, count=50)
    with mock.patch.object(retention, "_delete", side_effect=retention._delete) as delete:
        assert deleted() == 7
    assert delete.call_count == 1


def test_rows_to_keep_among_rows_to_delete_do_not_stop_a_sweep() -> None:
    kept = ended("failed", count=20)
    gone = ended("sent", count=20)
    assert deleted(Policy(sent=DAY)) == len(gone)
    assert left() == kept


def test_a_finished_sweep_is_due_again_later() -> None:
    ended(count=20)
    assert retention.sweep_due(DAY)
    with closing(retention.sweep(ALIKE, BOUNDS)) as steps:
        assert next(steps).rows == 7
    assert retention.sweep_due(DAY)
    assert deleted() == 13
    assert not retention.sweep_due(DAY)
    assert retention.sweep_due(0)


def test_a_row_locked_by_another_transaction_is_neither_waited_for_nor_deleted(bound: Settings) -> None:
    held, *others = ended("failed", count=5)
    with Elsewhere(bound) as other:
        other.run("UPDATE notifications SET last_error = 'x' WHERE id = %s", held)
        assert deleted() == len(others)
        assert left() == [held]
    assert deleted() == 1


def test_each_row_is_deleted_by_one_of_two_simultaneous_sweeps() -> None:
    for _ in range(ROUNDS):
        ended(count=40)
        counts = at_once([deleted] * 2)
        assert sum(counts) <= 40
        assert sum(counts) + deleted() == 40
        assert (left(), orphans()) == ([], [])


def test_a_row_resent_during_a_sweep_is_deleted_or_kept_as_a_whole() -> None:
    outcomes = set()
    for _ in range(ROUNDS):
        [id] = ended("failed")
        again = partial(lifecycle.redrive, id, CLIENT, GRACE)
        at_once([again, deleted, lambda id=id: lifecycle.claim([id], WORKER)])  # type: ignore[misc]
        if found := left():
            assert found == [id]
            assert status(id) in ("pending", "processing")
            assert len(reports.attempts(id, CLIENT)) == 1
        outcomes.add(bool(found))
        rows("TRUNCATE notifications, attempts, attachments, events")
    assert orphans() == []


def test_a_row_that_was_claimed_before_the_sweep_is_settled_after_it() -> None:
    [id] = ended("failed")
    assert lifecycle.redrive(id, CLIENT, GRACE)
    [claimed] = lifecycle.claim([id], WORKER)
    assert deleted() == 0
    assert lifecycle.release([(id, claimed.claim)]) == [id]


def test_a_connection_lost_during_a_sweep_leaves_no_partly_deleted_notification(bound: Settings) -> None:
    ids = ended(count=30)
    steps = retention.sweep(ALIKE, BOUNDS)
    assert next(steps) == Step("deleted", 7)
    [(backend,)] = rows("SELECT pg_backend_pid()")
    with Elsewhere(bound) as other:
        other.run("SELECT pg_terminate_backend(%s, 5000)", backend)

    with pytest.raises(OperationalError):
        next(steps)
    database.close()
    with connection():
        assert left() == ids[7:]
        assert orphans() == []
        assert deleted() == 23


def test_a_process_killed_during_a_sweep_leaves_no_partly_deleted_notification(bound: Settings) -> None:
    ended(count=400)
    environ = {"DATABASE_URL": bound.database.url, "RETENTION_SENT": "1", "RETENTION_BATCH": "1"}
    command = [sys.executable, "-m", "cli.main", "retention"]
    with ended_sessions(), subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE) as process:
        eventually(lambda: len(left()) < 400, saying="nothing is removed")
        process.send_signal(signal.SIGKILL)
    remaining = len(left())
    assert 0 < remaining < 400
    assert orphans() == []
    assert deleted() == remaining
