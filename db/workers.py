"""Worker processes and their heartbeats. Call within `connection()`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID

from db.database import rows

# Workers may have different settings. So each heartbeat reports the worker's own WORKER_TIMEOUT and STUCK_AFTER, by
# which other workers judge it. Older versions report none; then the observer's values apply.
_TIMEOUT = "coalesce(w.timeout, %s) * interval '1 second'"
ALIVE = f"w.seen_at > now() - {_TIMEOUT}"  # A condition on workers AS w. Parameter: the observer's worker_timeout.


def dead(column: str) -> str:
    """Return SQL for whether the worker in this column is not alive. Parameter: the observer's worker_timeout."""
    return f"NOT EXISTS (SELECT FROM workers AS w WHERE w.id = {column} AND {ALIVE})"


def lost(column: str) -> str:
    """Return SQL for whether the worker in this column is dead and the observer was itself seen for as long.

    Parameters: the observer's worker_timeout, the observer, its worker_timeout twice.
    """
    return f"""({dead(column)} AND EXISTS (
                  SELECT FROM workers AS o LEFT JOIN workers AS w ON w.id = {column}
                  WHERE o.id = %s AND o.steady_since < now() - greatest({_TIMEOUT}, %s * interval '1 second')))"""


def stuck(id: str, column: str, since: str) -> str:
    """Return SQL for whether the live worker in `column` has held `id` for too long, since `since`.

    A worker that reports an outcome for `id` that it could not record is not stuck. It must have had the opportunity to
    report that since the observer is steady. Parameters: the observer, its worker_timeout, its stuck_after.
    """
    return f"""EXISTS (
                  SELECT FROM workers AS w, workers AS o
                  WHERE w.id = {column} AND o.id = %s AND o.steady_since < now() - %s * interval '1 second'
                        AND w.seen_at > o.steady_since AND {id} <> ALL(w.unrecorded)
                        AND {since} < now() - coalesce(w.stuck_after, %s) * interval '1 second')"""


class LiveWorkers(NamedTuple):
    """All live workers: their threads, and the age in seconds of the oldest wake-up message not begun, by priority."""

    threads: int
    oldest_messages: dict[str, float]


CHANNELS = "CHANNELS"  # A name in Kept.settings: the channels whose queues it consumes, separated by ", ".
CAUGHT = "CAUGHT_MAIL"  # A name in Kept.settings: "true" if `notify up` catches every mail.


class Unrecorded(NamedTuple):
    """Notifications whose outcome a worker knows but could not record yet, and the error of the last try."""

    ids: tuple[int, ...] = ()
    trouble: str = ""


class Kept(NamedTuple):
    """Values of a worker: the times others judge it by, its mail server, and settings that all should share."""

    timeout: float | None = None  # WORKER_TIMEOUT
    stuck_after: float | None = None  # STUCK_AFTER
    provider: str | None = None  # the names of its mail providers, separated by ", "
    settings: Mapping[str, float | str] = MappingProxyType({})


class Heartbeat(NamedTuple):
    """A sign of life of a worker.

    `oldest_messages`: by priority, when the oldest wake-up message was enqueued that the worker has fetched and not
    begun (seconds since 1970). `counters`: by outcome, how many notifications it has settled since it started.
    """

    worker: UUID
    host: str
    pid: int
    threads: int
    oldest_messages: Mapping[str, float] = MappingProxyType({})
    counters: Mapping[str, int] = MappingProxyType({})
    unrecorded: Unrecorded = Unrecorded()
    kept: Kept = Kept()


def seen(beat: Heartbeat, worker_timeout: float) -> float:
    """Record a heartbeat and return the database's time in seconds since 1970.

    After a gap of a third of `worker_timeout` the worker counts as steady only from now on.
    """
    [(now,)] = rows(
        """
        INSERT INTO workers AS w (id, host, pid, threads, oldest_bells, tallies, unrecorded, trouble,
                                  timeout, stuck_after, provider, settings)
        VALUES (%s, %s, %s, %s, %s, %s, %s::bigint[], %s, %s, %s, %s, %s)
        ON CONFLICT (id) DO UPDATE
        SET seen_at = now(), oldest_bells = excluded.oldest_bells, tallies = excluded.tallies,
            unrecorded = excluded.unrecorded, trouble = excluded.trouble,
            steady_since = CASE WHEN w.seen_at < now() - %s / 3.0 * interval '1 second'
                                THEN now() ELSE w.steady_since END
        RETURNING extract(epoch FROM clock_timestamp())::float8
        """,
        str(beat.worker),
        *beat[1:4],
        json.dumps(dict(beat.oldest_messages)),
        json.dumps(dict(beat.counters)),
        list(beat.unrecorded.ids),
        beat.unrecorded.trouble,
        *beat.kept[:-1],
        json.dumps(dict(beat.kept.settings)),
        worker_timeout,
    )
    return float(now)


def gone(worker: UUID) -> None:
    """Delete a worker that shuts down. Whatever it still holds can be rescued at once."""
    rows("DELETE FROM workers WHERE id = %s", str(worker))


def forget(age: float) -> None:
    """Delete workers that were not seen for `age` seconds and for their own timeout."""
    rows("DELETE FROM workers WHERE seen_at < now() - greatest(%s, timeout) * interval '1 second'", age)
    # `sending` is needed as long as the worker holds a row.
    rows(
        "DELETE FROM sending AS s WHERE at < now() - %s * interval '1 second'"
        " AND NOT EXISTS (SELECT FROM workers AS w WHERE w.id = s.worker)"
        " AND NOT EXISTS (SELECT FROM notifications AS n WHERE n.status = 'processing' AND n.claimed_by = s.worker)",
        age,
    )


def live_workers(worker_timeout: float) -> LiveWorkers:
    """Return the live workers together."""
    live = rows(
        f"SELECT threads, oldest_bells, extract(epoch FROM now())::float8 FROM workers AS w WHERE {ALIVE}",
        worker_timeout,
    )
    ages: dict[str, float] = {}
    for _, messages, now in live:
        for priority, enqueued_at in messages.items():
            ages[priority] = max(ages.get(priority, 0.0), now - enqueued_at)
    return LiveWorkers(sum(threads for threads, _, _ in live), ages)


def reporting(host: str, worker_timeout: float) -> dict[int, bool]:
    """Return for each pid of a machine whether a worker was seen within `worker_timeout` seconds.

    Workers that died are included: another process may have their pid by now.
    """
    found = rows(
        f"SELECT pid, bool_or({ALIVE}) FROM workers AS w WHERE host = %s GROUP BY pid",
        worker_timeout,
        host,
    )
    return dict(found)
