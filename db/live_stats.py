"""Live statistics, at a cost that does not grow with the tables. Call within `connection()`.

No query counts rows without a bound. Pending rows are counted up to COUNTED, the oldest due row is looked for among
those that were enqueued the longest ago, and the last id drawn stands for the number of accepted notifications.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

from db import refused_domains
from db.database import rows
from db.lifecycle.relay import CLIENTS
from db.pauses import paused
from db.refused_domains import Pair
from db.workers import ALIVE

COUNTED = 10_000  # notifications of a priority
AMONG = 100  # notifications of each client and priority: those that the relay enqueues next
CLIENTS_SEEN = 1_000  # clients of a priority


class PriorityStats(NamedTuple):
    """A priority. `waiting`: pending notifications, counted up to COUNTED, scheduled and paused ones included.

    `oldest_due`: seconds for which the oldest notification has waited that may be sent now; 0 if none may. For a client
    with more than AMONG pending notifications it is the oldest of those that were enqueued the longest ago.
    """

    waiting: int
    oldest_due: float


class Provider(NamedTuple):
    """The breaker of a provider. `probe_in`: seconds until the next probe; None while it is closed.

    `exhausted_until`: until when its daily limit, `daily`, is used up; None if it is not.

    `channel`: that of its notifications; empty if it was reported by an older version, which had one channel.
    `enabled`: operators have not switched it off. `connections`, `rate`: those of its URL, None if not known;
    an unlimited rate is None too. `silent`: its reports have stopped.
    """

    name: str
    opened_at: datetime | None
    reason: str | None
    probe_in: float | None
    channel: str = ""
    enabled: bool = True
    connections: int | None = None
    rate: float | None = None
    silent: bool = False
    exhausted_until: datetime | None = None
    daily: int | None = None

    @property
    def works(self) -> bool:
        """True if its breaker is closed, and something is left of its daily limit."""
        return self.opened_at is None and self.exhausted_until is None


class Worker(NamedTuple):
    """A worker. `silent_for`: seconds since its last heartbeat. `counters`: attempts by outcome since its start.

    `provider`: its mail providers, separated by ", "; None if an older version does not report them. `unrecorded`:
    outcomes that it could not record yet, and `trouble`: why. `settings`: those that all workers should share, by name.
    """

    id: UUID
    host: str
    pid: int
    threads: int
    started_at: datetime
    silent_for: float
    alive: bool
    counters: Mapping[str, int]
    provider: str | None = None
    unrecorded: int = 0
    trouble: str = ""
    settings: Mapping[str, Any] = MappingProxyType({})


class LiveStats(NamedTuple):
    """All live statistics. `at`: seconds since 1970 on the database's clock.

    `accepted`: the last id drawn, callbacks and gaps included.
    """

    at: float
    accepted: int
    priorities: Mapping[str, PriorityStats]
    providers: list[Provider]
    workers: list[Worker]
    refused_domains: Sequence[Pair] = ()


def live_stats(worker_timeout: float, configured: Collection[str] = ()) -> LiveStats:
    """Return all live statistics, each part as of its own moment.

    A worker is alive if its last heartbeat is no older than its own WORKER_TIMEOUT, or `worker_timeout` if it reports
    none. The providers are those that a live worker uses, and the `configured` ones; all of them if neither is known.
    """
    [(at, accepted)] = rows(
        "SELECT extract(epoch FROM clock_timestamp())::float8, CASE WHEN is_called THEN last_value ELSE 0 END"
        " FROM notifications_id_seq"
    )
    seen = workers(worker_timeout)
    used = in_use(providers(), seen, configured)
    return LiveStats(at, accepted, priorities(), used, seen, refused_domains.open_pairs())


def in_use(known: Sequence[Provider], seen: Sequence[Worker], configured: Collection[str]) -> list[Provider]:
    """Return the providers that a live worker uses, and the `configured` ones; all of them if neither is known."""
    reports = [worker.provider for worker in seen if worker.alive]
    used = {name for report in reports for name in (report or "").split(", ")} | set(configured)
    told = bool(used) and None not in reports
    return [provider for provider in known if provider.name in used or not told]


def priorities() -> dict[str, PriorityStats]:
    """Return each queue that has pending notifications: by priority, and by channel and priority, such as sms.high."""
    found = rows(_PRIORITIES, COUNTED, CLIENTS_SEEN, AMONG)
    return {name: PriorityStats(waiting, oldest_due) for name, waiting, oldest_due in found}


def providers() -> list[Provider]:
    """Return the providers that workers have reported, and those whose breaker has ever opened."""
    found = rows(
        "SELECT name, opened_at, reason, CASE WHEN opened_at IS NOT NULL"
        " THEN greatest(0, extract(epoch FROM probe_after - now())::float8) END, coalesce(config ->> 'channel', ''),"
        " enabled, (config ->> 'connections')::int, (config ->> 'rate')::float8, silent_since IS NOT NULL,"
        " CASE WHEN exhausted_until > now() THEN exhausted_until END, (config ->> 'daily')::bigint"
        " FROM providers ORDER BY name"
    )
    return [Provider(*row) for row in found]


def workers(worker_timeout: float) -> list[Worker]:
    """Return the workers that run, and those that vanished without a shutdown, the oldest first."""
    found = rows(
        f"SELECT id, host, pid, threads, started_at, silent_for, {ALIVE}, tallies,"
        " provider, cardinality(unrecorded), trouble, settings"
        " FROM workers AS w, LATERAL (SELECT extract(epoch FROM now() - seen_at)::float8 AS silent_for) AS s"
        " ORDER BY started_at, id",
        worker_timeout,
    )
    return [Worker(*row) for row in found]


# queues: those that have pending rows; each step is one look into the relay's index.
_PRIORITIES = f"""
WITH RECURSIVE queues AS (
    SELECT min(lane) AS name FROM notifications WHERE status = 'pending'
    UNION ALL
    SELECT (SELECT min(lane) FROM notifications WHERE status = 'pending' AND lane > queues.name)
    FROM queues WHERE name IS NOT NULL
)
SELECT priority.name,
       (SELECT count(*) FROM (SELECT FROM notifications AS n
                              WHERE n.status = 'pending' AND n.lane = priority.name LIMIT %s) AS n),
       coalesce((SELECT extract(epoch FROM now() - min(due.since))::float8 FROM (
           WITH {CLIENTS.format(lane="priority.name")}
           SELECT n.next_attempt_at AS since FROM (SELECT id FROM clients LIMIT %s) AS clients CROSS JOIN LATERAL (
               SELECT * FROM notifications AS n
               WHERE n.status = 'pending' AND n.lane = priority.name AND n.client_id = clients.id
               ORDER BY n.dispatch_after LIMIT %s) AS n
           WHERE n.next_attempt_at <= now() AND NOT {paused("n")}) AS due), 0)
FROM queues AS priority WHERE name IS NOT NULL
"""
