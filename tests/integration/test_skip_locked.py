"""Statements of upkeep and of claims skip rows that another transaction has locked, and never wait for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from uuid import uuid4

import psycopg2
import pytest
from psycopg2.sql import SQL, Identifier

from db import erasures, idempotency, lifecycle, listeners, pauses, retention, sessions
from db.audit import By
from db.database import rows
from db.idempotency import Key, Post
from db.lifecycle import relay
from settings import Settings
from tests.integration.ends import ALIKE, BOUNDS, DAY, ended
from tests.integration.racing import ROUNDS, at_once
from tests.integration.rows import CLIENT, GRACE, accepted, alive, claimed, draft, passed, suppressed

Act = Callable[[], object]
MINE = ("client", str(CLIENT))
LONG_AGO = 3_600.0


@contextmanager
def locked(settings: Settings, table: str, condition: str, *parameters: object) -> Iterator[None]:
    """Hold a lock on the matching rows in another session, and let no statement of this thread wait for a lock."""
    with closing(psycopg2.connect(settings.database.url)) as other, other.cursor() as cursor:
        cursor.execute(SQL("SELECT FROM {} WHERE " + condition + " FOR UPDATE").format(Identifier(table)), parameters)
        assert cursor.rowcount > 0
        rows("SET lock_timeout = '1s'")
        yield
        rows("RESET lock_timeout")
        other.rollback()  # Unlike a close, it returns after the lock is released.


def taken() -> list[int]:
    return [due.id for due in relay.take_due("normal", GRACE, 0, 100) if not due.parked]


def overdue(count: int, enqueued: bool = True) -> list[int]:
    ids = accepted(count)
    for id in ids:
        passed(GRACE + 1, id)
    rows("UPDATE notifications SET rung = %s", enqueued)
    return ids


@pytest.mark.parametrize("enqueued", [True, False])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_relay_skips_rows_that_another_one_is_enqueueing(store: Settings, enqueued: bool, place: int) -> None:
    ids = overdue(3, enqueued)
    with locked(store, "notifications", "id = %s", ids[place]):
        assert taken() == [id for id in ids if id != ids[place]]
    assert taken() == [ids[place]]


def test_each_row_is_enqueued_by_only_one_of_many_relays(store: Settings) -> None:
    for _ in range(ROUNDS):
        ids = overdue(20)
        found = at_once([taken] * 6)
        assert sorted(id for part in found for id in part) == ids
        rows("DELETE FROM notifications")


def _claim() -> tuple[list[int], Act]:
    ids = accepted(3)
    return ids, lambda: [one.id for one in lifecycle.claim(ids, uuid4())]


def _rescue() -> tuple[list[int], Act]:
    ids = [claimed(uuid4()).id for _ in range(3)]
    observer = alive(uuid4(), steady_for=100)
    return ids, lambda: sorted(lifecycle.rescue(observer, 30, 600, 5, 10))


def _expire() -> tuple[list[int], Act]:
    ids = accepted(3)
    rows("UPDATE notifications SET send_at = NULL, expires_at = now()")
    return ids, lambda: sorted(lifecycle.expire(10))


def _suppress() -> tuple[list[int], Act]:
    ids = accepted(3)
    return ids, partial(_suppressed, ids)


def _suppressed(ids: Sequence[int]) -> list[int]:
    with suppressed():
        return sorted(lifecycle.suppress(ids))


@pytest.mark.parametrize("prepare", [_claim, _rescue, _expire, _suppress])
def test_a_transition_of_many_rows_skips_a_locked_one(
    store: Settings, prepare: Callable[[], tuple[list[int], Act]]
) -> None:
    ids, act = prepare()
    with locked(store, "notifications", "id = %s", ids[0]):
        assert act() == ids[1:]


def test_a_resume_skips_a_locked_row(store: Settings) -> None:
    ids = overdue(3)
    pauses.pause(*MINE)
    assert taken() == []
    pauses.resume(*MINE)
    with locked(store, "notifications", "id = %s", ids[0]):
        assert pauses.bring_back(*MINE, 10) == 2
    assert pauses.bring_back(*MINE, 10) == 1


def test_retention_leaves_a_locked_row_for_the_next_sweep(store: Settings) -> None:
    ids = ended("sent", 10_000 * DAY, 3)
    with locked(store, "notifications", "id = %s", ids[0]):
        assert sum(step.rows for step in retention.sweep(ALIKE, BOUNDS)) == 2
    assert sum(step.rows for step in retention.sweep(ALIKE, BOUNDS)) == 1


def test_locked_idempotency_keys_are_deleted_later(store: Settings) -> None:
    idempotency.accept_once([Post(draft(), Key(name, b"")) for name in ("a", "b", "c")], GRACE, 5)
    rows("UPDATE idempotency_keys SET created_at = now() - interval '2 days'")
    with locked(store, "idempotency_keys", "key = 'a'"):
        idempotency.forget(LONG_AGO, 10)
        assert rows("SELECT key FROM idempotency_keys") == [("a",)]


def test_leases_that_are_being_renewed_are_kept(store: Settings) -> None:
    listeners.hold([CLIENT, CLIENT + 1], LONG_AGO)
    rows("UPDATE listeners SET until = now()")
    with locked(store, "listeners", "client_id = %s", CLIENT):
        listeners.forget(10)
        assert rows("SELECT client_id FROM listeners") == [(CLIENT,)]


def test_locked_sessions_are_deleted_later(store: Settings) -> None:
    [(key,)] = rows(
        "INSERT INTO keys (client_id, name, digest, scopes, sandbox)"
        " VALUES (%s, 'k', sha256('k'), '{read}', false) RETURNING id",
        CLIENT,
    )
    for digest in (b"a" * 32, b"b" * 32):
        sessions.begin(digest, key, LONG_AGO)
    rows("UPDATE sessions SET ends_at = now()")
    with locked(store, "sessions", "digest = %s", b"a" * 32):
        sessions.begin(b"c" * 32, key, LONG_AGO)
        assert {bytes(digest)[:1] for (digest,) in rows("SELECT digest FROM sessions")} == {b"a", b"c"}


def test_an_erasure_that_another_worker_takes_is_skipped(store: Settings) -> None:
    first, second = (erasures.begin(CLIENT, f"{name}@example.com", By("cli", name="somebody")) for name in "ab")
    rows("UPDATE erasures SET due_at = now() - id * interval '1 second'")
    with locked(store, "erasures", "id = %s", second):
        assert erasures.take() == first
        assert erasures.take() is None
