"""The circuit breaker of a provider, shared by all workers: one row, changed by guarded statements only.

closed --trip--> open --close--> closed
                 |  ^
                 +--+ take_probe, probe_failed: one probe at a time, with twice the wait after each

Call within `connection()`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from db import workers
from db.database import rows
from db.lifecycle.relay import CLIENTS
from db.pauses import paused
from db.provider_access import BARRED


class State(NamedTuple):
    """The state of a breaker, in seconds until the next probe and since it closed (infinite if it never opened).

    `by_mails`: it opened because particular mails failed, not because the provider could not be reached. `enabled` and
    `weight`: what operators have set. `exhausted`: its daily limit is used up.
    """

    open: bool
    probe_in: float = 0.0
    well_for: float = math.inf
    by_mails: bool = False
    enabled: bool = True
    weight: int | None = None
    exhausted: bool = False


# A condition: the worker that probes has died, so the probe will have no outcome. Parameter: worker_timeout.
_ORPHANED = f"(probe_by IS NOT NULL AND {workers.dead('probe_by')})"


def state(provider: str, worker_timeout: float) -> State:
    """Return the state of the breaker; closed if it never opened."""
    found = rows(
        f"""
        SELECT opened_at IS NOT NULL,
               CASE WHEN opened_at IS NULL OR {_ORPHANED} THEN 0
                    ELSE extract(epoch FROM probe_after - now())::float8 END,
               coalesce(extract(epoch FROM now() - closed_at)::float8, 'infinity'),
               by_mails, enabled, weight, coalesce(exhausted_until > now(), false)
        FROM providers WHERE name = %s
        """,
        worker_timeout,
        provider,
    )
    return State(*found[0]) if found else State(open=False)


def trip(provider: str, reason: str, wait: float, *, by_mails: bool = False) -> bool:
    """closed -> open, with the first probe after `wait` seconds. Return False if it was open already."""
    return bool(
        rows(
            """
            INSERT INTO providers AS p (name, opened_at, reason, probe_after, wait, by_mails)
            VALUES (%s, now(), %s, now() + %s * interval '1 second', %s, %s)
            ON CONFLICT (name) DO UPDATE
            SET opened_at = now(), reason = excluded.reason, probe_after = excluded.probe_after, wait = excluded.wait,
                by_mails = excluded.by_mails
            WHERE p.opened_at IS NULL
            RETURNING name
            """,
            provider,
            reason,
            wait,
            wait,
            by_mails,
        )
    )


def take_probe(provider: str, worker: UUID, lease: float, worker_timeout: float) -> bool:
    """open -> open: return whether this worker may probe now; of all that ask, one may.

    If the probe has no outcome, another worker may probe after `lease` seconds, or as soon as a steady worker finds
    that the probing worker was not seen for `worker_timeout` seconds.
    """
    return bool(
        rows(
            f"""
            UPDATE providers SET probe_after = now() + %s * interval '1 second', probe_by = %s
            WHERE name = %s AND opened_at IS NOT NULL
                  AND (probe_after <= now() OR (probe_by IS NOT NULL AND {workers.lost("probe_by")}))
            RETURNING name
            """,
            *(lease, str(worker), provider),
            *(worker_timeout, str(worker), worker_timeout, worker_timeout),
        )
    )


def probe_failed(provider: str, most: float) -> None:
    """open -> open: double the wait before the next probe, up to `most` seconds."""
    rows(
        """
        UPDATE providers
        SET wait = least(wait * 2, %s), probe_after = now() + least(wait * 2, %s) * interval '1 second', probe_by = NULL
        WHERE name = %s AND opened_at IS NOT NULL
        """,
        most,
        most,
        provider,
    )


def return_probe(provider: str) -> None:
    """open -> open: the probe was not used, so another one may follow at once."""
    rows(
        "UPDATE providers SET probe_after = now(), probe_by = NULL WHERE name = %s AND opened_at IS NOT NULL", provider
    )


def close(provider: str) -> bool:
    """open -> closed. Return False if it was closed already."""
    return bool(
        rows(
            """
            UPDATE providers SET opened_at = NULL, probe_after = NULL, probe_by = NULL, wait = NULL, closed_at = now()
            WHERE name = %s AND opened_at IS NOT NULL RETURNING name
            """,
            provider,
        )
    )


# Which notification tests the provider next. Clients take turns, beginning after the one whose was tried last
# (`probed_client`). Of a client's notifications, prefer the one that has failed least, and of those the highest
# priority.
#
# SET LOCAL, because a pooler may have dropped our session settings: the estimate for a large backlog is high enough
# for JIT, although little is read.
_NEXT_PROBE = f"""
        SET LOCAL jit = off;
        WITH {BARRED}, chosen AS MATERIALIZED (
            SELECT due.id, due.client_id
            FROM unnest(%s::text[]) WITH ORDINALITY AS priority (name, rank) CROSS JOIN LATERAL (
                WITH {CLIENTS.format(lane="priority.name")}
                SELECT due.* FROM clients CROSS JOIN LATERAL (
                    SELECT n.id, n.client_id, n.retry_count FROM notifications AS n
                    WHERE n.status = 'pending' AND n.lane = priority.name AND n.client_id = clients.id
                          AND n.next_attempt_at <= now() AND n.type = %s AND NOT n.sandbox AND NOT {paused("n")}
                          AND starts_with(n.recipient, %s)
                    ORDER BY n.dispatch_after
                    LIMIT (SELECT greatest(1, %s / greatest(1, count(id))) FROM clients)
                ) AS due
                WHERE clients.id <> ALL(ARRAY(SELECT id FROM barred))
            ) AS due
            ORDER BY coalesce(due.client_id <= (SELECT probed_client FROM providers WHERE name = %s), false),
                     due.client_id, due.retry_count, priority.rank, due.id
            LIMIT 1
        ), noted AS (
            UPDATE providers SET probed_client = chosen.client_id FROM chosen WHERE name = %s
        )
        SELECT id FROM chosen
        """


def next_probe(among: int, provider: str, channel: str, queues: Sequence[str], beginning: str = "") -> list[int]:
    """Choose the notification that tests whether a provider has recovered. Return its id in a list, [] if none is due.

    Clients take turns, so that a client whose mails all fail does not get every probe. `among` is how many
    notifications are looked at in each of the channel's `queues`, the most urgent first. `beginning`: how the
    recipients begin that the provider can reach. Clients that may not use the provider are left out.
    """
    barred = (channel, provider, channel)
    given = (list(queues), channel, beginning, among, provider, provider)
    return [id for (id,) in rows(_NEXT_PROBE, *barred, *given)]
