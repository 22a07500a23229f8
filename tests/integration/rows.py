"""Helpers for lifecycle tests: a draft, the current row, time that has passed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, cast
from uuid import UUID, uuid4

from db import lifecycle, reports, suppressions, workers
from db.database import rows
from db.records import Attempt, Claimed, Draft
from db.suppressions import Entry
from tests.eventually import eventually

GRACE = 10.0
CLIENT = 1
WORKER = uuid4()


@contextmanager
def ended_sessions() -> Iterator[None]:
    """Wait until the sessions that begin in this block have ended.

    For a client that was killed, PostgreSQL runs the last statement to its end.
    """
    before = _sessions()
    yield
    eventually(lambda: _sessions() <= before, saying="a session of the killed process is left")


def _sessions() -> set[int]:
    of_clients = "datname = current_database() AND backend_type = 'client backend'"
    return {pid for (pid,) in rows(f"SELECT pid FROM pg_stat_activity WHERE {of_clients}")}


def draft(recipient: str = "a@example.com") -> Draft:
    return Draft("email", recipient, "Hi", "Hello", None)


def accepted(count: int = 1) -> list[int]:
    return [a.id for a in lifecycle.accept([draft() for _ in range(count)], GRACE)]


@contextmanager
def suppressed(address: str = "a@example.com", client_id: int = 1) -> Iterator[None]:
    """The address is on the suppression list, until the end of the block."""
    suppressions.add(client_id, Entry(address))
    yield
    suppressions.remove(client_id, address)


def claimed(worker: UUID = WORKER) -> Claimed:
    [one] = lifecycle.claim(accepted(), worker)
    return one


def attempt(outcome: str = "sent", text: str = "250 ok") -> Attempt:
    now = time.monotonic()
    return Attempt(outcome, WORKER, "mail:25", now - 2, now - 1, "content", 250, "2.0.0", text)


def row(id: int) -> dict[str, Any]:
    names = [
        name
        for (name,) in rows(
            "SELECT attname FROM pg_attribute WHERE attrelid = 'notifications'::regclass"
            " AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
        )
    ]
    [values] = rows("SELECT * FROM notifications WHERE id = %s", id)
    return dict(zip(names, values, strict=True))


def failed(reason: str = "exhausted", recipient: str = "a@example.com") -> int:
    """A notification that has come to this end."""
    [stored] = lifecycle.accept([draft(recipient)], GRACE)
    [held] = lifecycle.claim([stored.id], WORKER)
    lifecycle.settle([lifecycle.failed(held, attempt("deferred"), reason)], GRACE, time.monotonic())
    return stored.id


def in_seconds(seconds: float) -> datetime:
    """So far from now, on the database's clock."""
    [(then,)] = rows("SELECT now() + %s * interval '1 second'", seconds)
    return cast(datetime, then)


def status(id: int) -> str:
    return str(row(id)["status"])


def history(id: int) -> list[str]:
    return [a["outcome"] for a in reports.attempts(id, 1)]


def passed(seconds: float, id: int) -> None:
    """Move the times of this row so many seconds into the past."""
    rows(
        "UPDATE notifications SET claimed_at = claimed_at - %s * interval '1 second',"
        " next_attempt_at = next_attempt_at - %s * interval '1 second',"
        " dispatch_after = dispatch_after - %s * interval '1 second' WHERE id = %s",
        seconds,
        seconds,
        seconds,
        id,
    )


def alive(worker: UUID, steady_for: float = 0, seen_ago: float = 0) -> UUID:
    """A worker that has been seen all the time for `steady_for`, until `seen_ago`."""
    workers.seen(workers.Heartbeat(worker, "host", 1, 8), 30)
    rows(
        "UPDATE workers SET steady_since = now() - %s * interval '1 second',"
        " seen_at = now() - %s * interval '1 second' WHERE id = %s",
        steady_for,
        seen_ago,
        str(worker),
    )
    return worker
