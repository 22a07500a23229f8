"""A callback is stored together with the transition that it reports, or neither is."""

from __future__ import annotations

import json
import threading
import time
from functools import partial
from typing import Any
from uuid import uuid4

import psycopg2
import pytest

from db import callbacks, lifecycle, pauses, reports
from db.callbacks import New
from db.database import Unavailable, connection, database, rows
from db.lifecycle import relay
from db.records import Times
from settings import Settings
from tests.integration.racing import at_once
from tests.integration.rows import CLIENT, GRACE, WORKER, accepted, alive, attempt, claimed, draft, passed, row, status

pytestmark = pytest.mark.usefixtures("store")

ALL = ["sent", "failed", "cancelled"]


def endpoint(*events: str, client: int = 1) -> int:
    made = callbacks.create(New(client, "https://example.com/", "", list(events) or ALL, "whsec_AAAA"), 10)
    assert made is not None
    return int(made["id"])


def told() -> list[dict[str, Any]]:
    """Every callback, in the order of their making."""
    return [row(id) for (id,) in rows("SELECT id FROM notifications WHERE type = 'callback' ORDER BY id")]


def end(outcome: str, *, held: Any = None) -> int:
    held = held or claimed()
    made = attempt(outcome)
    settlement = {
        "sent": lambda: lifecycle.sent(held, made),
        "deferred": lambda: lifecycle.retry(held, made, 60),
        "refused": lambda: lifecycle.failed(held, made, "rejected"),
    }[outcome]()
    assert lifecycle.settle([settlement], GRACE, time.monotonic())
    return int(held.id)


def test_a_client_without_an_endpoint_gets_no_callback() -> None:
    end("sent")
    assert told() == []


@pytest.mark.parametrize(("outcome", "event"), [("sent", "notification.sent"), ("refused", "notification.failed")])
def test_a_callback_contains_the_answer_of_a_get(outcome: str, event: str) -> None:
    id = endpoint()
    [stored] = lifecycle.accept([draft()._replace(tags='["a"]', metadata='{"o":"1"}')], GRACE)
    [held] = lifecycle.claim([stored.id], WORKER)

    end(outcome, held=held)

    [callback] = told()
    assert (callback["callback_id"], callback["subject_id"], callback["subject"]) == (id, held.id, event)
    assert (callback["status"], callback["lane"], callback["client_id"]) == ("pending", "callback", 1)
    said = json.loads(callback["message"])
    assert (said["type"], said["timestamp"]) == (event, said["data"]["finishedAt"])
    shown = reports.notification(held.id, CLIENT)
    assert shown is not None
    assert said["data"].pop("finishedAt") == shown["finished_at"].strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert said["data"].pop("createdAt") == shown["created_at"].strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    names = ("id", "type", "recipient", "subject", "tags", "metadata", "sandbox", "status")
    assert {name: said["data"][name] for name in names} == {name: shown[name] for name in names}
    assert said["data"]["attemptCount"] == 1
    assert (said["data"]["priority"], said["data"]["sendAt"]) == ("normal", None)
    assert "message" not in said["data"]
    assert "html" not in said["data"]


def test_a_retry_enqueues_no_callback() -> None:
    endpoint()
    end("deferred")
    assert told() == []


def test_a_stale_worker_enqueues_no_callback() -> None:
    endpoint()
    stale = claimed()
    lifecycle.release([(stale.id, stale.claim)])
    assert not lifecycle.settle([lifecycle.sent(stale, attempt())], GRACE, time.monotonic())
    assert told() == []


def test_rescue_cancel_and_expiry_enqueue_callbacks() -> None:
    endpoint()
    lost = claimed(uuid4())
    assert lifecycle.rescue(alive(uuid4(), steady_for=31), 30, 600, 1, 100) == [lost.id]
    [cancelled, expired] = accepted(2)
    assert lifecycle.cancel(cancelled, CLIENT)
    assert not lifecycle.cancel(cancelled, CLIENT)
    rows("UPDATE notifications SET expires_at = now() WHERE id = %s", expired)
    assert lifecycle.expire(10) == [expired]

    assert [(c["subject_id"], c["subject"]) for c in told()] == [
        (lost.id, "notification.failed"),
        (cancelled, "notification.cancelled"),
        (expired, "notification.failed"),
    ]
    assert [json.loads(c["message"])["data"]["failureReason"] for c in told()] == ["exhausted", None, "expired"]


def test_a_rescue_that_ends_no_notification_enqueues_no_callback() -> None:
    endpoint()
    claimed(uuid4())
    assert lifecycle.rescue(alive(uuid4(), steady_for=31), 30, 600, 5, 100)
    assert told() == []


def test_each_endpoint_gets_only_its_events_of_its_own_client() -> None:
    everything, failures = endpoint(), endpoint("failed")
    endpoint(client=2)
    off = endpoint()
    assert callbacks.change(1, off, {"disabled": True})

    end("sent")
    end("refused")

    assert [c["callback_id"] for c in told()] == [everything, everything, failures]


def test_the_end_of_a_callback_enqueues_no_callback() -> None:
    endpoint()
    end("sent")
    [callback] = told()

    [held] = lifecycle.claim([callback["id"]], WORKER)
    assert held.callback_id == callback["callback_id"]
    end("refused", held=held)

    assert len(told()) == 1


def test_a_callback_is_redriven_for_its_own_endpoint_only() -> None:
    id = endpoint()
    end("sent")
    [callback] = told()
    [held] = lifecycle.claim([callback["id"]], WORKER)
    end("refused", held=held)

    assert not lifecycle.redrive(held.id, CLIENT, GRACE)
    assert not lifecycle.redrive(held.id, CLIENT, GRACE, callback=id + 1)
    assert not lifecycle.redrive(held.id, CLIENT + 1, GRACE, callback=id)
    assert lifecycle.redrive(held.id, CLIENT, GRACE, callback=id)
    assert status(held.id) == "pending"
    assert not lifecycle.redrive(held.id, CLIENT, GRACE, callback=id)


def test_a_callback_cannot_be_cancelled_or_rescheduled() -> None:
    endpoint()
    end("sent")
    [callback] = told()
    assert not lifecycle.cancel(callback["id"], CLIENT)
    assert not lifecycle.reschedule(callback["id"], CLIENT, Times(True, None, False, None))
    assert told() == [callback]


def test_a_paused_client_gets_callbacks_and_a_paused_callback_channel_sends_none() -> None:
    endpoint()
    end("sent")
    [callback] = told()
    pauses.pause("channel", "callback")
    pauses.pause("client", str(CLIENT))
    assert lifecycle.claim([callback["id"]], WORKER) == []
    assert [due.parked for due in relay.take_due("callback", GRACE, 100, 10)] == [True]

    pauses.resume("channel", "callback")
    assert pauses.bring_back("channel", "callback", 10) == 1
    pauses.forget("channel", "callback")

    assert [(due.id, due.parked) for due in relay.take_due("callback", GRACE, 100, 10)] == [(callback["id"], False)]
    assert lifecycle.claim([callback["id"]], WORKER)


def test_a_callback_has_its_own_number_of_attempts_when_its_worker_dies() -> None:
    endpoint()
    end("sent")
    [callback] = told()
    lifecycle.claim([callback["id"]], uuid4())
    lifecycle.rescue(alive(uuid4(), steady_for=31), 30, 600, 1, 100, 2)
    assert status(callback["id"]) == "pending"
    passed(1000, callback["id"])
    lifecycle.claim([callback["id"]], uuid4())
    lifecycle.rescue(alive(uuid4(), steady_for=31), 30, 600, 1, 100, 2)
    assert status(callback["id"]) == "failed"


def test_the_relay_enqueues_a_callback_at_once() -> None:
    endpoint()
    end("sent")
    assert [due.id for due in relay.take_due("callback", GRACE, 100, 10)] == [told()[0]["id"]]


def test_callbacks_are_not_among_the_notifications_of_a_client() -> None:
    endpoint()
    sent = end("sent")
    assert [shown["id"] for shown in reports.newest(CLIENT, {}, None, 10).rows] == [sent]
    assert reports.notification(told()[0]["id"], CLIENT) is None


def test_an_uncommitted_outcome_enqueues_no_callback() -> None:
    endpoint()
    held = claimed()
    with database.atomic() as transaction:
        assert lifecycle.settle([lifecycle.sent(held, attempt())], GRACE, time.monotonic())
        assert len(told()) == 1
        transaction.rollback()
    assert (status(held.id), told()) == ("processing", [])


def test_a_connection_killed_during_a_settlement_leaves_outcome_and_callback_or_neither(store: Settings) -> None:
    endpoint()
    held = lifecycle.claim(accepted(50), WORKER)
    settlements = [lifecycle.sent(one, attempt()) for one in held]
    with psycopg2.connect(store.database.url) as other, other.cursor() as cursor:
        # The statement writes its callbacks and then waits for this row, where it is killed.
        cursor.execute("INSERT INTO attempts SELECT %s, 1, 'sent', %s, 'x', now(), now()", (held[-1].id, str(WORKER)))
        failures: list[Exception] = []

        def settle() -> None:
            try:
                with connection():
                    lifecycle.settle(settlements, GRACE, time.monotonic())
            except Unavailable as error:
                failures.append(error)
            finally:
                database.close()

        settling = threading.Thread(target=settle)
        settling.start()
        while settling.is_alive():
            rows(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            settling.join(0.01)
        other.rollback()
    assert failures
    assert {status(one.id) for one in held} == {"processing"}
    assert told() == []


def test_simultaneous_ends_of_a_notification_enqueue_one_callback() -> None:
    endpoint()
    for _ in range(25):
        rows("DELETE FROM notifications")
        [id] = accepted()
        rows("UPDATE notifications SET expires_at = now() WHERE id = %s", id)
        at_once(
            [
                partial(lifecycle.cancel, id, CLIENT),
                partial(lifecycle.expire, 10),
                partial(lifecycle.cancel, id, CLIENT),
            ]
        )
        assert len(told()) == 1


def test_a_simultaneous_settlement_and_rescue_enqueue_one_callback() -> None:
    endpoint()
    for _ in range(25):
        rows("DELETE FROM notifications")
        held = claimed(uuid4())
        observer = alive(uuid4(), steady_for=100)
        sent = lifecycle.sent(held, attempt())
        at_once(
            [
                partial(lifecycle.settle, [sent], GRACE, time.monotonic()),
                partial(lifecycle.rescue, observer, 30, 600, 1, 100),
            ]
        )
        assert [c["subject"] for c in told()] == [f"notification.{status(held.id)}"]


@pytest.mark.parametrize("change", ["callback_id = 1", "subject_id = 1", "type = 'callback'"])
def test_the_database_refuses_an_inconsistent_callback(change: str) -> None:
    [id] = accepted()
    with pytest.raises(Exception, match="violates check constraint"), connection():
        rows(f"UPDATE notifications SET {change} WHERE id = {id}")
