"""What is moving right now, at a price that does not grow with the tables. Call within `connection()`.

Nothing here counts rows without a bound: what waits is counted up to COUNTED, the oldest due one is
looked for among those that were rung the longest ago, and what was accepted is the last id drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

from db.database import rows
from db.lifecycle.relay import CLIENTS
from db.pauses import paused
from db.workers import ALIVE

COUNTED = 10_000  # notifications of a lane
AMONG = 100  # of each client and lane, those whose bell is to be rung again first
CLIENTS_SEEN = 1_000  # of each lane


class Lane(NamedTuple):
    """`waiting`: how many are pending, no further than COUNTED; scheduled and paused ones too.

    `oldest_due`: for how many seconds the oldest has waited that may be sent now; 0 where none may. Of a client
    with more than AMONG in the lane it is the oldest of those that were rung the longest ago.
    """

    waiting: int
    oldest_due: float


class Provider(NamedTuple):
    """A mail server's breaker. `probe_in`: seconds until it is tried again; None while closed."""

    name: str
    opened_at: datetime | None
    reason: str | None
    probe_in: float | None


class Worker(NamedTuple):
    """`silent_for`: seconds since its last heartbeat. `tallies`: by outcome, how many since it started.

    `provider`: the mail server it sends to, None where an older version does not tell. `unrecorded`: how many
    outcomes it could not record yet, and `trouble` why. `settings`: by name, those that all should share.
    """

    id: UUID
    host: str
    pid: int
    threads: int
    started_at: datetime
    silent_for: float
    alive: bool
    tallies: Mapping[str, int]
    provider: str | None = None
    unrecorded: int = 0
    trouble: str = ""
    settings: Mapping[str, Any] = MappingProxyType({})


class Pulse(NamedTuple):
    """`at`: the database's seconds since 1970. `accepted`: the last id drawn, callbacks and gaps included."""

    at: float
    accepted: int
    lanes: Mapping[str, Lane]
    providers: list[Provider]
    workers: list[Worker]


def pulse(worker_timeout: float, configured: str = "") -> Pulse:
    """All of it, each part as of its own moment.

    A worker is alive whose last heartbeat is no older than its own WORKER_TIMEOUT, or `worker_timeout` where it
    told none. Of the providers those that a live worker uses, and the `configured` one (host:port); all of them
    where nobody knows.
    """
    [(at, accepted)] = rows(
        "SELECT extract(epoch FROM clock_timestamp())::float8, CASE WHEN is_called THEN last_value ELSE 0 END"
        " FROM notifications_id_seq"
    )
    seen = workers(worker_timeout)
    used = {worker.provider for worker in seen if worker.alive} | ({configured} if configured else set())
    known = bool(used) and None not in used
    return Pulse(at, accepted, lanes(), [p for p in providers() if p.name in used or not known], seen)


def lanes() -> dict[str, Lane]:
    """Each lane in which something waits."""
    found = rows(_LANES, COUNTED, CLIENTS_SEEN, AMONG)
    return {name: Lane(waiting, oldest_due) for name, waiting, oldest_due in found}


def providers() -> list[Provider]:
    """Those whose breaker has ever opened."""
    found = rows(
        "SELECT name, opened_at, reason, CASE WHEN opened_at IS NOT NULL"
        " THEN greatest(0, extract(epoch FROM probe_after - now())::float8) END FROM providers ORDER BY name"
    )
    return [Provider(*row) for row in found]


def workers(worker_timeout: float) -> list[Worker]:
    """Those that run, and those that were not seen for a while and have not said goodbye; longest-lived first."""
    found = rows(
        f"SELECT id, host, pid, threads, started_at, silent_for, {ALIVE}, tallies,"
        " provider, cardinality(unrecorded), trouble, settings"
        " FROM workers AS w, LATERAL (SELECT extract(epoch FROM now() - seen_at)::float8 AS silent_for) AS s"
        " ORDER BY started_at, id",
        worker_timeout,
    )
    return [Worker(*row) for row in found]


_LANES = f"""
SELECT lane.name,
       (SELECT count(*) FROM (SELECT FROM notifications AS n
                              WHERE n.status = 'pending' AND n.lane = lane.name LIMIT %s) AS n),
       coalesce((SELECT extract(epoch FROM now() - min(due.since))::float8 FROM (
           WITH {CLIENTS.format(lane="lane.name")}
           SELECT n.next_attempt_at AS since FROM (SELECT id FROM clients LIMIT %s) AS clients CROSS JOIN LATERAL (
               SELECT * FROM notifications AS n
               WHERE n.status = 'pending' AND n.lane = lane.name AND n.client_id = clients.id
               ORDER BY n.dispatch_after LIMIT %s) AS n
           WHERE n.next_attempt_at <= now() AND NOT {paused("n")}) AS due), 0)
FROM (SELECT DISTINCT lane FROM (VALUES ('high'), ('normal'), ('bulk'), ('callback')) AS lane (lane)) AS lane (name)
WHERE EXISTS (SELECT FROM notifications AS n WHERE n.status = 'pending' AND n.lane = lane.name)
"""
