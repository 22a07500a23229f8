"""The worker processes and when each was last seen."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from db.database import rows

# Parameters: the observer, worker_timeout. After an outage of the database every heartbeat is old, and
# nobody died: only who was itself seen all that time may call another one dead.
STEADY = """EXISTS (SELECT FROM workers AS w
                          WHERE w.id = %s AND w.steady_since < now() - %s * interval '1 second')"""


def dead(column: str) -> str:
    """A condition: the worker named by this column was not seen for so many seconds, the one parameter."""
    return f"""NOT EXISTS (SELECT FROM workers AS w
                              WHERE w.id = {column} AND w.seen_at > now() - %s * interval '1 second')"""


class Crew(NamedTuple):
    """All live workers: their threads, and the age in seconds of the oldest bell in their hands not yet begun."""

    threads: int
    oldest_bell: float


class Heartbeat(NamedTuple):
    """`oldest_bell`: the age in seconds of the oldest bell that the worker has fetched and not begun."""

    worker: UUID
    host: str
    pid: int
    threads: int
    oldest_bell: float = 0.0


def seen(beat: Heartbeat, worker_timeout: float) -> float:
    """Record a heartbeat and return the time (seconds since 1970).

    After a gap of a third of `worker_timeout` the worker is steady only from now on."""
    [(now,)] = rows(
        """
        INSERT INTO workers AS w (id, host, pid, threads, oldest_bell_at)
        VALUES (%s, %s, %s, %s, now() - %s * interval '1 second')
        ON CONFLICT (id) DO UPDATE
        SET seen_at = now(), oldest_bell_at = excluded.oldest_bell_at,
            steady_since = CASE WHEN w.seen_at < now() - %s / 3.0 * interval '1 second'
                                THEN now() ELSE w.steady_since END
        RETURNING extract(epoch FROM clock_timestamp())::float8
        """,
        str(beat.worker),
        *beat[1:],
        worker_timeout,
    )
    return float(now)


def gone(worker: UUID) -> None:
    """A worker that stops in order says so; what it still held, if anything, can be rescued at once."""
    rows("DELETE FROM workers WHERE id = %s", str(worker))


def forget(age: float) -> None:
    """Drop workers that were not seen for `age` seconds."""
    rows("DELETE FROM workers WHERE seen_at < now() - %s * interval '1 second'", age)


def crew(worker_timeout: float) -> Crew:
    """The live workers together."""
    [found] = rows(
        """
        SELECT coalesce(sum(threads), 0)::int,
               coalesce(extract(epoch FROM now() - min(oldest_bell_at))::float8, 0)
        FROM workers WHERE seen_at > now() - %s * interval '1 second'
        """,
        worker_timeout,
    )
    return Crew(*found)
