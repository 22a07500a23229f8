"""Transitions of notifications that wait for evidence, because an attempt with `onUncertain: "hold"` had no answer.

Such a row is pending with a time in `evidence_until`. It is bound to its provider, and no worker claims it but after
`replay`, before that time. Evidence moves it to sent (see `evidence`), an operator may cancel or retry it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from db.history.ends import COUNT_END
from db.lifecycle.clauses import returned_ids
from db.telling import ENQUEUE_CALLBACKS, append_event

_GIVE_UP = f"""
        WITH over AS MATERIALIZED (
            SELECT id FROM notifications
            WHERE status = 'pending' AND bound_provider IS NOT NULL AND evidence_until <= now()
            ORDER BY evidence_until LIMIT %s FOR UPDATE SKIP LOCKED
        )
        UPDATE notifications AS n
        SET status = 'failed', failure_reason = 'outcome-unknown', finished_at = now(), evidence_until = NULL,
            next_attempt_at = NULL, dispatch_after = NULL, parked = false, throttled_since = NULL
        WHERE n.id = ANY(ARRAY(SELECT id FROM over))
        RETURNING n.id, {ENQUEUE_CALLBACKS}, {COUNT_END}, {append_event("'failed'")}
        """

# The delay doubles, as that of retries does. Without a time left for it, the row waits on.
_REPLAY = f"""
        WITH held AS MATERIALIZED (
            SELECT n.id, now() + least(%s * 2 ^ greatest(0, n.retry_count - 1), %s) * interval '1 second' AS due
            FROM notifications AS n
            WHERE n.status = 'pending' AND n.bound_provider IS NOT NULL AND n.bound_provider = ANY(%s)
                  AND n.evidence_until > now()
                  AND n.next_attempt_at >= n.evidence_until AND n.retry_count < %s
                  AND now() + least(%s * 2 ^ greatest(0, n.retry_count - 1), %s) * interval '1 second'
                      < n.evidence_until
            ORDER BY n.evidence_until LIMIT %s FOR UPDATE SKIP LOCKED
        )
        UPDATE notifications AS n SET next_attempt_at = held.due, dispatch_after = held.due, rung = false
        FROM held WHERE n.id = held.id AND n.status = 'pending'
        RETURNING n.id, {append_event("'retry'")}
        """


class Spacing(NamedTuple):
    """Attempts in all, and the shortest and longest delay between two of them, in seconds."""

    attempts: int
    least: float
    most: float


def give_up(most: int) -> list[int]:
    """pending -> failed (outcome-unknown), for up to `most` rows that have waited for evidence in vain.

    Return their ids. Evidence that comes later still settles them.
    """
    return returned_ids(_GIVE_UP, most)


def replay(providers: Sequence[str], spacing: Spacing, most: int) -> list[int]:
    """pending -> pending, due again while it waits for evidence, for up to `most` rows bound to one of `providers`.

    These must recognise the repetition of a message that they have taken. Return the ids that were moved.
    """
    times = (spacing.least, spacing.most)
    return returned_ids(_REPLAY, *times, list(providers), spacing.attempts, *times, most)
