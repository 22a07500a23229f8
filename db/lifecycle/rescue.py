"""Transitions that upkeep makes: for workers that died, lost claims, and notifications that are too late."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from db import workers
from db.database import IN_ORDER
from db.history.ends import COUNT_END
from db.lifecycle.claim import AHEAD
from db.lifecycle.clauses import UNCLAIMED, returned_ids
from db.lifecycle.settle import HANDED_BACK
from db.telling import ENQUEUE_CALLBACKS, append_event

# Parameters: worker, the ids that it knows it holds.
_RELEASE_UNHELD = f"""
        UPDATE notifications AS n
        SET {HANDED_BACK}
        WHERE status = 'processing' AND claimed_by = %s AND id <> ALL(%s::bigint[])
        RETURNING n.id, {append_event("'released'")}
        """

# dead: what lost workers hold, and whether they may have begun it. abandoned: the rows of it that are moved now.
_RESCUE = f"""
        WITH dead AS MATERIALIZED (
            SELECT id, claim, in_doubt_since IS NOT NULL OR coalesce(claimed_list < 0, false)
                              OR EXISTS (SELECT FROM sending AS s WHERE s.worker = n.claimed_by AND n.id = ANY(s.ids))
                              -- The worker is of a version before 0027_sending, which describes this condition.
                              OR (coalesce(claimed_list >= 0, false)
                                  AND rank() OVER (PARTITION BY claimed_by, claimed_list ORDER BY id) <= {AHEAD})
                              AS begun
            FROM notifications AS n
            WHERE status = 'processing'
              AND ({workers.stuck("n.id", "n.claimed_by", "n.claimed_at")}
                   OR {workers.lost("n.claimed_by")})
        ), abandoned AS MATERIALIZED (
            SELECT n.id, begun FROM dead JOIN notifications AS n USING (id, claim)
            WHERE n.status = 'processing' ORDER BY begun, n.id LIMIT %s FOR UPDATE OF n SKIP LOCKED
        ), rescued AS (
            UPDATE notifications AS n
            SET status = CASE WHEN ended IS NULL THEN 'pending' ELSE 'failed' END, {UNCLAIMED}, evidence_until = until,
                alone = n.alone OR begun, rung = false,
                bound_provider = CASE WHEN begun AND (n.failover = 'safe' AND n.on_uncertain = 'resend'
                                                      OR until IS NOT NULL)
                                      THEN coalesce(n.bound_provider, n.claimed_provider) ELSE n.bound_provider END,
                attempt_count = attempt_count + begun::int,
                retry_count = retry_count + (begun AND ended IS NULL)::int,
                last_error = CASE WHEN begun THEN 'the worker died or hung while it held this notification'
                                  ELSE n.last_error END,
                failure_reason = ended,
                next_attempt_at = CASE WHEN ended IS NULL THEN coalesce(until, due) END,
                dispatch_after = CASE WHEN ended IS NULL THEN coalesce(until + interval '1 day', due) END,
                finished_at = CASE WHEN ended IS NOT NULL THEN now() END
            FROM (SELECT id, begun, coalesce(n.evidence_until, n.doubt_until) AS until,
                         n.claimed_by AS worker, n.claimed_at AS since,
                         coalesce(n.claimed_provider, n.type) AS provider,
                         now() + begun::int * random() * (2 ^ n.retry_count - 1) * %s * interval '1 second' AS due,
                         CASE WHEN coalesce(n.evidence_until, n.doubt_until) IS NOT NULL THEN NULL
                              WHEN n.in_doubt_since IS NOT NULL THEN 'outcome-unknown'
                              WHEN begun AND n.retry_count + 1 >= CASE n.type WHEN 'callback' THEN %s ELSE %s END
                              THEN 'exhausted' END AS ended
                  FROM abandoned JOIN notifications AS n USING (id)) AS lost
            WHERE n.id = lost.id
            RETURNING n.id, begun, n.attempt_count, lost.worker, lost.since, lost.provider, n.last_error,
                      {ENQUEUE_CALLBACKS}, {COUNT_END},
                      {append_event("CASE n.status WHEN 'failed' THEN 'failed' ELSE 'rescued' END")}
        ), recorded AS (
            INSERT INTO attempts (notification_id, number, outcome, worker, provider, started_at, finished_at, text)
            SELECT id, attempt_count, 'lost', worker, provider, since, now(), last_error FROM rescued WHERE begun
        )
        SELECT id FROM rescued
        """

_EXPIRE = f"""
        {IN_ORDER}
        WITH late AS MATERIALIZED (
            SELECT id FROM notifications WHERE status = 'pending' AND expires_at <= now()
            ORDER BY expires_at LIMIT %s FOR UPDATE SKIP LOCKED
        )
        UPDATE notifications AS n
        SET status = 'failed', finished_at = now(), next_attempt_at = NULL, dispatch_after = NULL,
            failure_reason = CASE WHEN evidence_until IS NULL THEN 'expired' ELSE 'outcome-unknown' END,
            evidence_until = NULL
        WHERE n.id = ANY(ARRAY(SELECT id FROM late))
        RETURNING n.id, {ENQUEUE_CALLBACKS}, {COUNT_END}, {append_event("'failed'")}
        """


def release_unheld(worker: UUID, held: Iterable[int]) -> list[int]:
    """processing -> pending, for rows that `worker` claimed without learning of it: the answer to a claim was lost.

    `held` are the ids that the worker knows it holds. Only the thread that claims may call this; any other thread
    could take a claim that is under way for a lost one. Return the ids that were moved.
    """
    return returned_ids(_RELEASE_UNHELD, str(worker), list(held))


def rescue(  # noqa: PLR0913, PLR0917
    observer: UUID,
    worker_timeout: float,
    stuck_after: float,
    max_attempts: int,
    most: int,
    callback_attempts: int | None = None,
) -> list[int]:
    """processing -> pending, for rows whose worker is dead or hangs; -> failed if no attempt is left or in doubt.

    A row in doubt is pending until evidence settles it, if any can come: see `unanswered.give_up`.

    A worker is dead if it was not seen for its own WORKER_TIMEOUT. It hangs if it has held a row for its own
    STUCK_AFTER and does not report that it has the outcome and cannot record it. `worker_timeout` and
    `stuck_after`, the observer's values, apply to workers that report none. Only an `observer` that was itself
    seen all that time may decide: after an outage of the database every heartbeat is old, and no worker died.

    The row itself or the table `sending` says what a worker may have begun. Such an attempt may have been made, so
    it is recorded as lost and counts; the other rows go back at no cost. A row that is lost a second time may be
    what kills the workers, or only a neighbour of it. From then on such rows are due apart from each other, each at
    a random moment within a span that doubles, and a worker claims one at a time (see `claim`), so that one does not
    take the others with it again.

    Move up to `most` rows and return their ids. `max_attempts` and `callback_attempts` are how many attempts a
    notification and a callback have.
    """
    return returned_ids(
        _RESCUE,
        *(str(observer), worker_timeout, stuck_after),
        *(worker_timeout, str(observer), worker_timeout, worker_timeout),
        most,
        worker_timeout,
        max_attempts if callback_attempts is None else callback_attempts,
        max_attempts,
    )


def expire(most: int) -> list[int]:
    """pending -> failed (expired), for up to `most` rows whose `expires_at` has passed. Return their ids.

    One that waits for evidence has the reason `outcome-unknown`: it may have been sent in time.
    """
    return returned_ids(_EXPIRE, most)
