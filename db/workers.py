"""The worker processes and when each was last seen."""

from __future__ import annotations

from uuid import UUID

from db.database import rows


def seen(worker: UUID, host: str, pid: int, threads: int, worker_timeout: float) -> None:
    """Record a heartbeat. After a gap of a third of `worker_timeout` the worker is steady only from now on."""
    rows(
        """
        INSERT INTO workers AS w (id, host, pid, threads) VALUES (%s, %s, %s, %s)
        ON CONFLICT (id) DO UPDATE
        SET seen_at = now(),
            steady_since = CASE WHEN w.seen_at < now() - %s / 3.0 * interval '1 second'
                                THEN now() ELSE w.steady_since END
        """,
        str(worker),
        host,
        pid,
        threads,
        worker_timeout,
    )


def gone(worker: UUID) -> None:
    """A worker that stops in order says so; what it still held, if anything, can be rescued at once."""
    rows("DELETE FROM workers WHERE id = %s", str(worker))


def forget(age: float) -> None:
    """Drop workers that were not seen for `age` seconds."""
    rows("DELETE FROM workers WHERE seen_at < now() - %s * interval '1 second'", age)


def threads(worker_timeout: float) -> int:
    """How many threads are there to send, in all live workers."""
    [(total,)] = rows(
        "SELECT coalesce(sum(threads), 0) FROM workers WHERE seen_at > now() - %s * interval '1 second'",
        worker_timeout,
    )
    return int(total)
