"""Changes are recorded with their transition for clients that listen, and read in order without a gap."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any
from uuid import uuid4

import psycopg2
import pytest

from api.streaming.reader import Reader, Seen, page
from db import callbacks, changes, lifecycle, listeners
from db.callbacks import New
from db.database import connection, database, rows
from db.records import Claimed, Times
from settings import Settings
from tests.eventually import eventually
from tests.integration.rows import (
    CLIENT,
    GRACE,
    WORKER,
    accepted,
    alive,
    attempt,
    claimed,
    draft,
    failed,
    in_seconds,
    passed,
    suppressed,
)

KEPT = 3_600.0


@pytest.fixture
def heard(store: Settings) -> Settings:
    """Somebody listens for CLIENT."""
    listeners.hold([CLIENT], KEPT)
    listeners.begin([CLIENT], 0)
    return store


def noted() -> list[tuple[int, str, str]]:
    """All changes: of which notification, what it was, and to which status."""
    return rows("SELECT notification_id, name, status FROM changes ORDER BY id")


def settle(held: Claimed, outcome: str) -> None:
    settlement = {
        "sent": lambda: lifecycle.sent(held, attempt()),
        "retry": lambda: lifecycle.retry(held, attempt("deferred", "450 later"), 60),
        "failed": lambda: lifecycle.failed(held, attempt("refused", "550 no"), "rejected"),
    }[outcome]()
    assert lifecycle.settle([settlement], GRACE, time.monotonic())


def rescued(held: Claimed, most: int) -> None:
    passed(1_000, held.id)
    assert lifecycle.rescue(alive(uuid4(), steady_for=100), 30, 600, most, 10) == [held.id]


def expire(id: int) -> None:
    rows("UPDATE notifications SET expires_at = now() - interval '1 second' WHERE id = %s", id)
    assert lifecycle.expire(10) == [id]


def later() -> Times:
    return Times(sends=True, send_at=in_seconds(60), expires=False, expires_at=None)


def fall_to_suppression(id: int) -> None:
    with suppressed():
        assert lifecycle.suppress([id]) == [id]


PENDING: dict[str, tuple[Callable[[int], Any], str]] = {
    "claimed": (lambda id: lifecycle.claim([id], WORKER), "processing"),
    "cancelled": (lambda id: lifecycle.cancel(id, CLIENT), "cancelled"),
    "cancelled all": (lambda _: lifecycle.cancel_all(CLIENT, 10), "cancelled"),
    "rescheduled": (lambda id: lifecycle.reschedule(id, CLIENT, later()), "pending"),
    "failed, for it is too late": (expire, "failed"),
    "failed, for it is suppressed": (fall_to_suppression, "failed"),
}
PROCESSING: dict[str, tuple[Callable[[Claimed], Any], str]] = {
    "sent": (lambda held: settle(held, "sent"), "sent"),
    "retry": (lambda held: settle(held, "retry"), "pending"),
    "failed": (lambda held: settle(held, "failed"), "failed"),
    "released": (lambda held: lifecycle.release([(held.id, held.claim)]), "pending"),
    "released, unheard of": (lambda _: lifecycle.release_unheld(WORKER, []), "pending"),
    "rescued": (lambda held: rescued(held, 5), "pending"),
    "failed, for the last worker died": (lambda held: rescued(held, 1), "failed"),
}


def word(change: str) -> str:
    return change.replace(",", "").split()[0]


@pytest.mark.parametrize("change", PENDING)
@pytest.mark.usefixtures("heard")
def test_each_change_of_a_pending_notification_is_recorded(change: str) -> None:
    [id] = accepted()
    move, becomes = PENDING[change]
    move(id)
    assert noted() == [(id, "accepted", "pending"), (id, word(change), becomes)]


@pytest.mark.parametrize("change", PROCESSING)
@pytest.mark.usefixtures("heard")
def test_each_change_of_a_processing_notification_is_recorded(change: str) -> None:
    held = claimed()
    move, becomes = PROCESSING[change]
    move(held)
    assert noted()[2:] == [(held.id, word(change), becomes)]


@pytest.mark.usefixtures("heard")
def test_a_retry_by_an_operator_is_recorded() -> None:
    one, other = failed(), failed()
    before = len(noted())
    assert lifecycle.redrive(one, CLIENT, GRACE)
    assert len(lifecycle.redrive_all(CLIENT, {}, None, 10)) == 1
    assert noted()[before:] == [(one, "retried", "pending"), (other, "retried", "pending")]


@pytest.mark.usefixtures("heard")
def test_notification_that_fails_at_once_is_recorded_as_failed() -> None:
    with suppressed():
        [id] = accepted()
    assert noted() == [(id, "failed", "failed")]


@pytest.mark.usefixtures("heard")
def test_a_transition_that_loses_its_race_records_no_change() -> None:
    held = claimed()
    settle(held, "sent")
    before = noted()
    assert not lifecycle.settle([lifecycle.sent(held, attempt())], GRACE, time.monotonic())
    assert not lifecycle.cancel(held.id, CLIENT)
    assert not lifecycle.claim([held.id], WORKER)
    assert noted() == before


@pytest.mark.usefixtures("store")
def test_no_change_is_recorded_without_a_listener() -> None:
    settle(claimed(), "sent")
    listeners.hold([CLIENT + 1], KEPT)
    settle(claimed(), "sent")
    listeners.hold([CLIENT], KEPT)
    rows("UPDATE listeners SET until = now() WHERE client_id = %s", CLIENT)
    settle(claimed(), "sent")
    assert noted() == []


@pytest.mark.usefixtures("heard")
def test_changes_of_callbacks_are_not_recorded() -> None:
    callbacks.create(New(CLIENT, "https://example.com/", "", ["sent"], "whsec_AAAA"), 10)
    held = claimed()
    settle(held, "sent")
    [(callback,)] = rows("SELECT id FROM notifications WHERE type = 'callback'")
    lifecycle.claim([callback], WORKER)
    assert [id for id, _, _ in noted()] == [held.id] * 3


@pytest.mark.usefixtures("heard")
def test_a_change_is_read_with_its_notification() -> None:
    [stored] = lifecycle.accept([draft()._replace(tags='["a"]', metadata='{"o":"1"}')], GRACE)
    [held] = lifecycle.claim([stored.id], WORKER)
    settle(held, "retry")
    first, _, last = changes.read([CLIENT], 0, changes.drawn(), 10)
    assert (first.tags, first.metadata, first.recipient, first.priority) == (
        ["a"],
        {"o": "1"},
        "a@example.com",
        "normal",
    )
    assert (first.created_at, first.at, first.last_error) == (stored.created_at, stored.created_at, None)
    assert (last.attempt_count, last.retry_count, last.last_error) == (1, 1, "450 later")
    assert last.next_attempt_at is not None


def looked(reader: Reader, clients: frozenset[int] = frozenset({CLIENT})) -> Seen:
    """A look that finds something out."""
    seen = eventually(lambda: reader.look(clients))
    assert seen is not None
    return seen


@pytest.fixture
def reader(heard: Settings) -> Reader:
    reader = Reader(heard)
    assert eventually(lambda: CLIENT in looked(reader).open)
    return reader


@contextmanager
def session(url: str) -> Iterator[Any]:
    """A transaction of somebody else's, which ends with `commit`."""
    with closing(psycopg2.connect(url)) as other:
        yield other


def record(other: Any, id: int, name: str) -> None:
    with other.cursor() as cursor:
        cursor.execute("SELECT note(n, %s) FROM notifications AS n WHERE id = %s", (name, id))


def test_changes_that_commit_in_reverse_order_are_read_in_order_and_none_is_skipped(
    reader: Reader, module_database_url: str
) -> None:
    id, other = accepted(2)
    assert len(looked(reader).news) == 2
    with session(module_database_url) as first, session(module_database_url) as second:
        record(first, id, "first")
        record(second, other, "second")
        second.commit()
        before = looked(reader)
        assert before.news == []
        assert before.drawn > before.position
        first.commit()
        news = eventually(lambda: looked(reader).news)
    assert [change.name for change in news] == ["first", "second"]


def test_changes_that_are_rolled_back_are_not_read_and_delay_nothing(reader: Reader, module_database_url: str) -> None:
    [id] = accepted()
    with session(module_database_url) as doomed:
        record(doomed, id, "never")
        doomed.rollback()
    lifecycle.cancel(id, CLIENT)
    assert [change.name for change in looked(reader).news] == ["accepted", "cancelled"]


def test_transactions_without_changes_delay_no_reader(reader: Reader, module_database_url: str) -> None:
    with session(module_database_url) as foreign, foreign.cursor() as cursor:
        cursor.execute("UPDATE backlog_counts SET due_at = now()")  # It has a transaction id, an old one soon.
        accepted()
        assert len(looked(reader).news) == 1


def test_changes_of_one_notification_keep_their_order_whichever_transaction_began_first(
    reader: Reader, module_database_url: str
) -> None:
    [id] = accepted()
    with session(module_database_url) as early, early.cursor() as cursor:
        cursor.execute("SELECT pg_current_xact_id()")
        [held] = lifecycle.claim([id], WORKER)
        record(early, id, "later, by an older transaction")
        early.commit()
    names = [change.name for change in looked(reader).news]
    assert (held.id, names) == (id, ["accepted", "claimed", "later, by an older transaction"])


def test_under_many_writers_nothing_is_skipped_or_read_twice(reader: Reader) -> None:
    def write() -> None:
        with connection():
            for _ in range(20):
                [id] = accepted()
                lifecycle.cancel(id, CLIENT)
        database.close()

    writers = [threading.Thread(target=write) for _ in range(6)]
    for writer in writers:
        writer.start()
    seen: list[tuple[int, int, str]] = []

    def all_seen() -> bool:
        seen.extend((c.id, c.notification_id, c.name) for c in looked(reader).news)
        return len(seen) >= 240

    eventually(all_seen, within=30, every=0)
    for writer in writers:
        writer.join()
    assert [id for id, _, _ in seen] == sorted({id for id, _, _ in seen})
    assert sorted((id, name) for _, id, name in seen) == sorted(
        (id, name) for (id,) in rows("SELECT id FROM notifications") for name in ("accepted", "cancelled")
    )


@pytest.mark.usefixtures("store")
def test_a_record_is_complete_after_the_statements_that_began_before_the_listener(
    store: Settings, module_database_url: str
) -> None:
    [id] = accepted()
    cancelling = threading.Thread(target=_cancel, args=(id,))
    with session(module_database_url) as holder, holder.cursor() as cursor:
        cursor.execute("SELECT FROM notifications WHERE id = %s FOR UPDATE", (id,))
        cancelling.start()
        eventually(lambda: rows("SELECT 1 FROM pg_locks WHERE NOT granted"))
        reader = Reader(store)
        assert not any(looked(reader).open for _ in range(5))
        holder.rollback()
    cancelling.join()
    assert eventually(lambda: looked(reader).open) == {CLIENT}
    # It is not in the record, but was done before the record was said to be whole.
    assert noted() == []
    [id] = accepted()
    assert [change.notification_id for change in eventually(lambda: looked(reader).news)] == [id]


def _cancel(id: int) -> None:
    with connection():
        lifecycle.cancel(id, CLIENT)
    database.close()


def test_old_changes_are_deleted_in_steps_and_a_late_reader_is_told(reader: Reader) -> None:
    [first, *_] = [accepted() for _ in range(5)]
    seen = looked(reader)
    ids = [change.id for change in seen.news]
    rows("UPDATE changes SET at = at - interval '2 hours' WHERE id = ANY(%s)", ids[:3])
    assert changes.forget(KEPT, 2) == 2
    assert page(CLIENT, ids[0], ids[4], 10) is None
    assert [change.id for change in page(CLIENT, ids[1], ids[4], 10) or ()] == ids[2:]
    assert [changes.forget(KEPT, 2) for _ in range(2)] == [1, 0]
    assert looked(reader).whole == {CLIENT: ids[2]}
    assert looked(reader).broken == frozenset()
    assert first


def test_a_late_reader_is_told_that_changes_were_deleted(reader: Reader) -> None:
    accepted()
    rows("UPDATE changes SET at = at - interval '2 hours'")
    changes.forget(KEPT, 10)
    assert looked(reader).broken == {CLIENT}
    assert looked(reader).open == {CLIENT}


def test_a_lease_that_has_ended_begins_a_new_record(reader: Reader, heard: Settings) -> None:
    rows("UPDATE listeners SET until = now()")
    accepted()
    assert looked(reader).broken == {CLIENT}
    assert eventually(lambda: looked(reader).open) == {CLIENT}
    [id] = accepted()
    assert [change.notification_id for change in looked(reader).news] == [id]
    assert Reader(heard).look(frozenset({CLIENT}))


@pytest.mark.usefixtures("heard")
def test_expired_leases_are_deleted() -> None:
    listeners.hold([CLIENT + 1], KEPT)
    rows("UPDATE listeners SET until = now() WHERE client_id = %s", CLIENT)
    listeners.forget(10)
    assert rows("SELECT client_id FROM listeners") == [(CLIENT + 1,)]


def test_a_restored_database_ends_all_streams(reader: Reader) -> None:
    accepted(3)
    looked(reader)
    rows("TRUNCATE changes RESTART IDENTITY")
    assert looked(reader).broken == {CLIENT}


def test_a_read_that_fails_halfway_loses_no_change(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    accepted()
    with monkeypatch.context() as patched:
        patched.setattr(listeners, "whole", _unavailable)
        with pytest.raises(ConnectionError):
            reader.look(frozenset({CLIENT}))
    assert len(looked(reader).news) == 1


def _unavailable(_clients: object) -> None:
    raise ConnectionError
