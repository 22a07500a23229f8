"""Every frequent statement, each changing MOVED notifications of a backlog that `grow` has created."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from uuid import UUID

from db import backlogs, breaker, lifecycle, pauses, reports, retention, workers
from db.database import rows
from db.idempotency import Key, Post, accept_once
from db.lifecycle import relay
from db.models import PRIORITIES
from db.policy import Bounds, Policy
from db.records import Claimed
from db.workers import Heartbeat
from tests.integration.rows import CLIENT, GRACE, WORKER, attempt, draft

MOVED = 10
HOUR = 3_600.0
STEP = 20_000  # rows that one statement puts in, within its time
Move = Callable[[list[int]], None]

# A tenth each: sent long ago, failed, parked, too late, never enqueued; half were enqueued an hour ago.
_GROW = """
INSERT INTO notifications (type, recipient, subject, message, client_id, status, failure_reason, finished_at,
                           next_attempt_at, dispatch_after, expires_at, parked, rung, on_uncertain, created_at,
                           attempt_count)
SELECT 'email', 'anna' || n || %s, 'Hi', 'Hello', %s, status,
       CASE status WHEN 'failed' THEN 'exhausted' END, CASE WHEN status <> 'pending' THEN long_ago END,
       CASE status WHEN 'pending' THEN long_ago END, CASE status WHEN 'pending' THEN long_ago END,
       CASE kind WHEN 3 THEN long_ago END, kind = 2, kind <> 4, 'hold', long_ago,
       (status <> 'pending')::int
FROM (SELECT n, n %% 10 AS kind, now() - interval '1 hour' AS long_ago,
             CASE n %% 10 WHEN 0 THEN 'sent' WHEN 1 THEN 'failed' ELSE 'pending' END AS status
      FROM generate_series(1, %s) AS n) AS made
"""

_ATTEMPTED = """
INSERT INTO attempts (notification_id, number, outcome, worker, provider, started_at, finished_at)
SELECT id, 1, CASE status WHEN 'sent' THEN 'sent' ELSE 'refused' END, %s, 'mail:25', finished_at, finished_at
FROM notifications WHERE status IN ('sent', 'failed') AND id > %s
"""

_SUPPRESSED = """
INSERT INTO suppressions (client_id, address, reason)
SELECT %s, 'not-anna' || n || %s, 'manual' FROM generate_series(1, %s) AS n
"""


def grow(number: int) -> None:
    """Put in so many notifications of every kind that waits or is over; and a worker that lives."""
    rows(_SUPPRESSED, CLIENT, _unique(0), min(number, STEP))
    for _ in range(0, number, STEP):
        step = min(number, STEP)
        [(last,)] = rows("SELECT coalesce(max(id), 0) FROM notifications")
        rows(_GROW, _unique(0), CLIENT, step)
        rows(_ATTEMPTED, str(WORKER), last)
    workers.seen(Heartbeat(WORKER, "here", 1, 8), HOUR)
    rows("UPDATE workers SET steady_since = now() - interval '2 hours', seen_at = now()")


def due(number: int) -> list[int]:
    """Ids of so many that can be claimed."""
    found = rows(
        "SELECT id FROM notifications"
        " WHERE status = 'pending' AND NOT parked AND expires_at IS NULL AND on_uncertain = 'hold'"
        " AND last_error IS NULL LIMIT %s",
        number,
    )
    return [id for (id,) in found]


def accepted(_ids: list[int]) -> None:
    assert len(lifecycle.accept([draft(_unique(n)) for n in range(MOVED)], GRACE)) == MOVED


def accepted_once(_ids: list[int]) -> None:
    posts = [Post(draft(_unique(n)), Key(_unique(n), b"digest")) for n in range(MOVED)]
    assert len(accept_once(posts, GRACE, 1.0)) == MOVED


def relayed(_ids: list[int]) -> None:
    assert len(relay.take_due("normal", GRACE, 0, MOVED)) >= MOVED


def claimed_and_settled(ids: list[int]) -> None:
    settlements = [lifecycle.sent(claimed, attempt()) for claimed in _claimed(ids)]
    assert len(lifecycle.settle(settlements, GRACE, time.monotonic())) == MOVED


def bounced(ids: list[int]) -> None:
    settlements = [lifecycle.bounced(claimed, attempt("refused")) for claimed in _claimed(ids)]
    assert len(lifecycle.settle(settlements, GRACE, time.monotonic())) == MOVED


def released(ids: list[int]) -> None:
    assert len(lifecycle.release([(c.id, c.claim) for c in _claimed(ids)])) == MOVED


def doubted(ids: list[int]) -> None:
    taken = _claimed(ids)
    assert len(lifecycle.doubt([(c.id, c.claim) for c in taken])) == MOVED
    settlements = [lifecycle.sent(claimed, attempt()) for claimed in taken]
    assert len(lifecycle.settle(settlements, GRACE, time.monotonic())) == MOVED


def released_unheld(ids: list[int]) -> None:
    _claimed(ids)
    assert len(lifecycle.release_unheld(WORKER, [])) == MOVED


def rescued(ids: list[int]) -> None:
    _claimed(ids, UUID(int=1))
    assert len(lifecycle.rescue(WORKER, HOUR, HOUR, 5, MOVED)) == MOVED


def suppressed(ids: list[int]) -> None:
    taken = ids[-MOVED:]
    rows(
        "INSERT INTO suppressions (client_id, address, reason)"
        " SELECT client_id, recipient, 'manual' FROM notifications WHERE id = ANY(%s) ON CONFLICT DO NOTHING",
        taken,
    )
    assert len(lifecycle.suppress(taken)) == MOVED
    del ids[-MOVED:]


def expired(_ids: list[int]) -> None:
    assert len(lifecycle.expire(MOVED)) == MOVED


def cancelled_all(_ids: list[int]) -> None:
    assert len(lifecycle.cancel_all(CLIENT, MOVED)) == MOVED


def redriven_all(_ids: list[int]) -> None:
    assert len(lifecycle.redrive_all(CLIENT, {}, None, MOVED)) == MOVED


def brought_back(_ids: list[int]) -> None:
    assert pauses.bring_back("channel", "email", MOVED) == MOVED


def counted(_ids: list[int]) -> None:
    rows("UPDATE clients SET pending_limit = %s WHERE id = %s", MOVED, CLIENT)
    backlogs.count(MOVED, 1, HOUR)
    assert backlogs.read().pending == {CLIENT: MOVED + 1}


def deleted(_ids: list[int]) -> None:
    sweep = retention.sweep(Policy(sent=1.0, failed=1.0), Bounds(batch=MOVED))
    assert next(sweep).what == "deleted"


def listed(_ids: list[int]) -> None:
    first = reports.newest(CLIENT, {}, None, MOVED)
    assert len(reports.newest(CLIENT, {}, first.after, MOVED).rows) == MOVED


def listed_by_status(_ids: list[int]) -> None:
    for status in ("pending", "failed"):
        assert len(reports.newest(CLIENT, {"status": status}, None, MOVED).rows) == MOVED


def listed_by_recipient(ids: list[int]) -> None:
    for id in ids[-MOVED:]:
        [(recipient,)] = rows("SELECT recipient FROM notifications WHERE id = %s", id)
        assert reports.newest(CLIENT, {"recipient": recipient}, None, MOVED).rows


def shown(ids: list[int]) -> None:
    for id in ids[-MOVED:]:
        assert reports.notification(id, CLIENT)
        reports.attempts(id, CLIENT)


def probed(_ids: list[int]) -> None:
    assert breaker.next_probe(MOVED, "mail:25", "email", PRIORITIES)


MOVES: tuple[Move, ...] = (
    *(accepted, accepted_once, relayed, claimed_and_settled, bounced, released, doubted, released_unheld, rescued),
    *(suppressed, expired, cancelled_all, redriven_all, brought_back, counted, deleted, probed),
    *(listed, listed_by_status, listed_by_recipient, shown),
)


def try_all(times: int) -> None:
    """Run each a few times on what there is, whatever it moves: so that plans are made now."""
    for move in MOVES:
        for _ in range(times):
            with suppress(AssertionError):
                move(due(MOVED))


def _claimed(ids: list[int], worker: UUID = WORKER) -> list[Claimed]:
    taken = ids[-MOVED:]
    del ids[-MOVED:]
    found = lifecycle.claim(taken, worker)
    assert len(found) == MOVED
    return found


def _unique(number: int) -> str:
    return f"{time.monotonic_ns()}-{number}@example.com"
