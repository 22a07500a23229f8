"""Erasure during other work: simultaneous claims and settlements, upkeep, a process that dies."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from functools import partial
from unittest import mock
from uuid import uuid4

import pytest

from db import erasing, erasures, lifecycle
from db.database import Contended, rows
from settings import Settings
from tests.eventually import eventually
from tests.integration.everywhere import holding
from tests.integration.racing import at_once
from tests.integration.rows import CLIENT, GRACE, WORKER, attempt, draft, ended_sessions
from tests.integration.test_erasures import ANN, SAID, SOMEBODY, begun, claimed, sent_to, settled, stored, worked
from tests.integration.test_upkeep import upkeep
from tests.processes import ROOT

pytestmark = pytest.mark.usefixtures("store", "redis_url")

ROUNDS = 12


def erased() -> int:
    [(count,)] = rows("SELECT count(*) FROM notifications WHERE erased_at IS NOT NULL")
    return int(count)


def sending(ids: list[int], outcomes: tuple[str, ...]) -> list[int]:
    """A worker: claims some at a time and settles each late, with a text that names the address."""
    taken = []
    for place in range(0, len(ids), 3):
        for n, one in enumerate(lifecycle.claim(ids[place : place + 3], WORKER)):
            taken.append(one.id)
            how, made = outcomes[n % len(outcomes)], attempt("refused", SAID)
            settle = {
                "sent": partial(lifecycle.sent, one, made),
                "retry": partial(lifecycle.retry, one, made, 0),
                "failed": partial(lifecycle.failed, one, made, "rejected"),
            }[how]
            lifecycle.settle([settle()], GRACE, time.monotonic())
    return taken


def stopping() -> int:
    """Ask, and return when nothing of it is begun any more: what an answer says."""
    id = begun()
    while True:
        found = erasures.one(CLIENT, id)
        assert found is not None
        if found["stopped_at"]:
            return id
        erasures.step(id, 4, SOMEBODY)


def test_an_erasure_during_sending_stops_new_attempts_and_leaves_no_data() -> None:
    met = 0
    for _ in range(ROUNDS):
        rows("DELETE FROM notifications")
        ids = [stored(sent_to()) for _ in range(12)]
        outcomes = ("sent", "retry", "failed")
        results = at_once([stopping, partial(sending, ids, outcomes), partial(sending, ids[::-1], outcomes)])
        [id] = [result for result in results if isinstance(result, int)]
        met += sum(len(result) for result in results if isinstance(result, list))
        assert lifecycle.claim(ids, WORKER) == []
        assert worked(id) == "done"
        assert erased() == len(ids)
        assert holding(ANN) == set()
    assert met > 0


def test_upkeep_erases_a_notification_after_its_sending_ended() -> None:
    one = claimed(stored(sent_to()))
    id = begun()
    assert worked(id) == "erasing"
    rows("UPDATE erasures SET due_at = now()")
    worker = upkeep(uuid4(), upkeep_interval=0.05)
    worker.tick()
    assert erased() == 0
    settled(one, "retry")

    def done() -> bool:
        worker.tick()
        found = erasures.one(CLIENT, id)
        return found is not None and found["done_at"] is not None

    eventually(done)
    assert holding(ANN) == set()
    [(actor, name)] = rows("SELECT actor, name FROM audit WHERE act = 'erasure.done'")
    assert (actor, name != "") == ("worker", True)


def test_an_erasure_that_fails_does_not_stop_the_rest_of_upkeep() -> None:
    begun()
    rows("UPDATE erasures SET due_at = now()")
    one = upkeep(uuid4())
    with mock.patch.object(erasures, "step", side_effect=Contended("held")) as step:
        one.tick()
    step.assert_called_once()
    assert rows("SELECT count(*) FROM workers") == [(1,)]


def test_a_step_of_an_erasure_that_fails_changes_nothing() -> None:
    stored(sent_to())
    id = begun()
    for _ in range(2):
        erasures.step(id, 10, SOMEBODY)
    before = rows("SELECT * FROM notifications"), rows("SELECT * FROM attachments"), rows("SELECT * FROM erasures")
    with mock.patch.object(erasing, "_untold", side_effect=Contended("held")), pytest.raises(Contended):
        erasures.step(id, 10, SOMEBODY)
    after = rows("SELECT * FROM notifications"), rows("SELECT * FROM attachments"), rows("SELECT * FROM erasures")
    assert after == before
    assert worked(id) == "done"


def test_an_erasure_by_a_killed_process_is_consistent_and_continued_by_upkeep(bound: Settings) -> None:
    count = 300
    rows(
        "INSERT INTO notifications (type, recipient, subject, message, status, finished_at, next_attempt_at,"
        " dispatch_after) SELECT 'email', %s, 's', %s, 'sent', now(), NULL, NULL FROM generate_series(1, %s)",
        *(ANN, f"Dear {ANN}", count),
    )
    rows(
        "INSERT INTO attempts (notification_id, number, outcome, worker, provider, started_at, finished_at, text)"
        " SELECT id, 1, 'sent', gen_random_uuid(), 'mail:25', now(), now(), %s FROM notifications",
        SAID,
    )
    environ = {"DATABASE_URL": bound.database.url, "ERASURE_BATCH": "1"}
    command = [sys.executable, "-m", "cli.main", "erase", ANN, "--yes"]
    with ended_sessions(), subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE) as process:
        eventually(lambda: erased() > 0, within=20, saying="nothing is erased")
        process.send_signal(signal.SIGKILL)
    assert 0 < erased() < count
    # Whose content is gone, of those the attempts too.
    assert (
        rows(
            "SELECT n.id FROM notifications AS n JOIN attempts AS a ON a.notification_id = n.id"
            " WHERE (n.erased_at IS NULL) <> (a.text IS NOT NULL)"
        )
        == []
    )
    rows("UPDATE erasures SET due_at = now()")  # As if its lease were over.
    worker = upkeep(uuid4())

    def done() -> bool:
        worker.tick()
        return rows("SELECT count(done_at) FROM erasures") == [(1,)]

    eventually(done)
    assert (erased(), holding(ANN)) == (count, set())
    assert rows("SELECT erased FROM erasures") == [(count,)]


def test_notifications_to_others_are_claimed_while_an_erasure_is_under_way() -> None:
    for _ in range(30):
        stored(sent_to())
    others = [stored(draft("b@example.com")) for _ in range(10)]
    id = begun()
    erasures.step(id, 5, SOMEBODY)
    assert [one.id for one in lifecycle.claim(others, WORKER)] == others
