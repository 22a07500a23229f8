"""The breaker of a provider, shared by all workers: one row, moved by guarded statements only.

closed --trip--> open --close--> closed
                 |  ^
                 +--+ take_probe, and probe_failed: one probe at a time, further and further apart
"""

from __future__ import annotations

import math
from typing import NamedTuple
from uuid import UUID

from db import workers
from db.database import rows


class State(NamedTuple):
    """Seconds until the next probe may go, and since the provider was found well again (for ever, if never ill).

    `by_mails`: it opened because particular mails failed, and not because the provider could not be reached.
    """

    open: bool
    probe_in: float = 0.0
    well_for: float = math.inf
    by_mails: bool = False


# Parameter: worker_timeout. Its worker has died, so nothing will be heard of this probe.
_ORPHANED = f"(probe_by IS NOT NULL AND {workers.dead('probe_by')})"


def state(provider: str, worker_timeout: float) -> State:
    found = rows(
        f"""
        SELECT opened_at IS NOT NULL,
               CASE WHEN opened_at IS NULL OR {_ORPHANED} THEN 0
                    ELSE extract(epoch FROM probe_after - now())::float8 END,
               coalesce(extract(epoch FROM now() - closed_at)::float8, 'infinity'),
               by_mails
        FROM providers WHERE name = %s
        """,
        worker_timeout,
        provider,
    )
    return State(*found[0]) if found else State(open=False)


def trip(provider: str, reason: str, wait: float, *, by_mails: bool = False) -> bool:
    """closed -> open; the first probe goes after `wait` seconds. False where it was open already."""
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
    """Of all who ask, one may probe now.

    If nothing is heard of it another one may after `lease` seconds, or once a steady worker finds
    that the prober was not seen for `worker_timeout`.
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
    """open -> open: the next probe goes after twice the wait, up to `most` seconds."""
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
    """open -> open: the probe was not used; another may go at once."""
    rows(
        "UPDATE providers SET probe_after = now(), probe_by = NULL WHERE name = %s AND opened_at IS NOT NULL", provider
    )


def close(provider: str) -> bool:
    """open -> closed"""
    return bool(
        rows(
            """
            UPDATE providers SET opened_at = NULL, probe_after = NULL, probe_by = NULL, wait = NULL, closed_at = now()
            WHERE name = %s AND opened_at IS NOT NULL RETURNING name
            """,
            provider,
        )
    )
