"""The worker processes and when each was last seen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
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
    """All live workers: their threads, and by lane the age in seconds of the oldest bell in hand and not begun."""

    threads: int
    oldest_bells: dict[str, float]


class Heartbeat(NamedTuple):
    """`oldest_bells`: by lane, when the oldest bell was rung that it has fetched and not begun (seconds since 1970).

    `tallies`: by outcome, how many it has settled since it started.
    """

    worker: UUID
    host: str
    pid: int
    threads: int
    oldest_bells: Mapping[str, float] = MappingProxyType({})
    tallies: Mapping[str, int] = MappingProxyType({})


def seen(beat: Heartbeat, worker_timeout: float) -> float:
    """Record a heartbeat and return the time (seconds since 1970).

    After a gap of a third of `worker_timeout` the worker is steady only from now on."""
    [(now,)] = rows(
        """
        INSERT INTO workers AS w (id, host, pid, threads, oldest_bells, tallies)
        VALUES (%s, %s, %s, %s, %s, %s)
        ON CONFLICT (id) DO UPDATE
        SET seen_at = now(), oldest_bells = excluded.oldest_bells, tallies = excluded.tallies,
            steady_since = CASE WHEN w.seen_at < now() - %s / 3.0 * interval '1 second'
                                THEN now() ELSE w.steady_since END
        RETURNING extract(epoch FROM clock_timestamp())::float8
        """,
        str(beat.worker),
        *beat[1:-2],
        json.dumps(dict(beat.oldest_bells)),
        json.dumps(dict(beat.tallies)),
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
    live = rows(
        """
        SELECT threads, oldest_bells, extract(epoch FROM now())::float8
        FROM workers WHERE seen_at > now() - %s * interval '1 second'
        """,
        worker_timeout,
    )
    ages: dict[str, float] = {}
    for _, bells, now in live:
        for lane, rung_at in bells.items():
            ages[lane] = max(ages.get(lane, 0.0), now - rung_at)
    return Crew(sum(threads for threads, _, _ in live), ages)


def reporting(host: str, worker_timeout: float) -> dict[int, bool]:
    """By pid, whether a worker process of a machine was seen within `worker_timeout` seconds.

    Those that ended without a word are among them: a pid may be in use again.
    """
    found = rows(
        "SELECT pid, max(seen_at) > now() - %s * interval '1 second' FROM workers WHERE host = %s GROUP BY pid",
        worker_timeout,
        host,
    )
    return dict(found)
