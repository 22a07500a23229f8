"""No statement reads more rows than it changes, whatever the size of the backlog and the statistics of the planner.

What is prepared is planned anew after an ANALYZE, and autovacuum analyzes in the middle of a backlog too.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from db import lifecycle, pauses
from db.database import connection, rows
from db.idempotency import Key, Post, accept_once
from db.lifecycle import relay
from tests.integration.rows import CLIENT, GRACE, WORKER, attempt, draft

pytestmark = pytest.mark.usefixtures("store")

BACKLOG, MOVED = 5_000, 10
# Of each row that is moved: itself, found by more than one index, and what was there before it and is not vacuumed yet.
READ = 50 * MOVED


def read() -> int:
    """Rows that statements of this session have read so far, and entries of indexes."""
    rows("SELECT pg_stat_force_next_flush()")
    [(entries,)] = rows("SELECT coalesce(sum(idx_tup_read), 0)::bigint FROM pg_stat_user_indexes")
    [(tuples,)] = rows("SELECT coalesce(sum(seq_tup_read), 0)::bigint FROM pg_stat_user_tables")
    return int(entries + tuples)


@pytest.fixture
def backlog() -> list[int]:
    """Analyzed backlog, whose first half was enqueued long ago and whose other half never was."""
    ids = [stored.id for _ in range(BACKLOG // 200) for stored in lifecycle.accept([draft()] * 200, GRACE)]
    rows("UPDATE notifications SET dispatch_after = now() - interval '1 hour'")
    rows("UPDATE notifications SET rung = false WHERE id > %s", ids[BACKLOG // 2])
    rows("ANALYZE notifications")
    rows("ANALYZE attempts")
    return ids


def relayed(_ids: list[int]) -> None:
    relay.take_due("normal", GRACE, 0, MOVED)


def claimed_and_settled(ids: list[int]) -> None:
    taken = [ids.pop() for _ in range(MOVED)]
    now = time.monotonic()
    settlements = [lifecycle.sent(claimed, attempt()) for claimed in lifecycle.claim(taken, WORKER)]
    assert len(lifecycle.settle(settlements, GRACE, now)) == MOVED


def accepted(_ids: list[int]) -> None:
    lifecycle.accept([draft(f"{time.monotonic_ns()}-{n}@example.com") for n in range(MOVED)], GRACE)


def accepted_once(_ids: list[int]) -> None:
    keys = [Key(f"{time.monotonic_ns()}-{n}", b"digest") for n in range(MOVED)]
    accept_once([Post(draft(), key) for key in keys], GRACE, 1.0)


def expired(_ids: list[int]) -> None:
    assert len(lifecycle.expire(MOVED)) == MOVED


def cancelled(_ids: list[int]) -> None:
    assert len(lifecycle.cancel_all(CLIENT, MOVED)) == MOVED


def redriven(_ids: list[int]) -> None:
    assert len(lifecycle.redrive_all(CLIENT, {}, None, MOVED)) == MOVED


def brought_back(_ids: list[int]) -> None:
    assert pauses.bring_back("channel", "email", MOVED) == MOVED


BEFORE = {
    expired: "UPDATE notifications SET expires_at = now() - interval '1 hour'",
    redriven: """UPDATE notifications SET status = 'failed', failure_reason = 'exhausted', finished_at = now(),
                 next_attempt_at = NULL, dispatch_after = NULL""",
    brought_back: "UPDATE notifications SET parked = true",
}


@pytest.mark.parametrize(
    "move",
    [relayed, claimed_and_settled, accepted, accepted_once, expired, cancelled, redriven, brought_back],
)
def test_a_large_analyzed_backlog_is_not_scanned_to_find_a_few_rows(
    backlog: list[int], move: Callable[[list[int]], None]
) -> None:
    with connection():
        if move in BEFORE:
            rows(BEFORE[move])
            rows("ANALYZE notifications")
        for _ in range(3):  # The plan is made with the second.
            move(backlog)
        before = read()
        move(backlog)
        assert read() - before <= READ
