"""End claims: with an outcome and its attempt, or hand them back without an attempt."""

from __future__ import annotations

from collections.abc import Sequence

from db.history.ends import ENDED, counting
from db.lifecycle.claim import RECORD_SENDING, sending_values
from db.lifecycle.clauses import HELD, KEPT_UNTIL, NOT_BEFORE, UNCLAIMED, WITHIN, by_claim, returned_ids, span
from db.prepared import prepared
from db.records import Attempt, Claimed, Sending, Settlement
from db.settlement_rows import settlement_rows
from db.telling import ENQUEUE_CALLBACKS, append_event

# For SET: pending again, due now; the relay enqueues it.
HANDED_BACK = f"""status = 'pending', {UNCLAIMED},
            next_attempt_at = now(), dispatch_after = now(), rung = false"""

# Rows are inserted in the order of the key, after all notifications are locked, so that two of these statements never
# deadlock.
_SUPPRESS_BOUNCED = """, bounced AS (
            INSERT INTO suppressions AS s (client_id, address, reason, source)
            SELECT DISTINCT ON (client_id, address)
                   client_id, address, 'bounced', 'notification ' || settled.id || ': ' || v.text
            FROM settled JOIN settlement AS v USING (id, claim)
            WHERE v.suppress IS NOT NULL AND address <> '' ORDER BY client_id, address, settled.id
            ON CONFLICT (client_id, address) DO UPDATE
            SET reason = excluded.reason, source = excluded.source, created_at = now(), expires_at = NULL
            WHERE s.expires_at <= now()
        )"""
# An erased notification has none.
_ADDRESS = ", coalesce(n.mailboxes ->> v.suppress, CASE v.suppress WHEN 0 THEN n.recipient END) AS address"

# Parameters: (id, claim) pairs, see `by_claim`.
_RELEASE = f"""
        WITH {HELD}
        UPDATE notifications AS n
        SET {HANDED_BACK}
        FROM held JOIN unnest(%s::bigint[], %s::bigint[]) AS given (id, claim) USING (id, claim)
        WHERE n.id = held.id AND {WITHIN} AND held.status = 'processing'
        RETURNING n.id, {append_event("'released'")}
        """

_POSTPONE = f"""
        WITH {HELD}
        UPDATE notifications AS n
        SET status = 'pending', {UNCLAIMED}, rung = false, last_error = %s,
            throttled_since = coalesce(n.throttled_since, now()),
            next_attempt_at = now() + (%s + %s * given.place) * interval '1 second',
            dispatch_after = now() + (%s + %s * given.place) * interval '1 second'
        FROM held JOIN unnest(%s::bigint[], %s::bigint[]) WITH ORDINALITY AS given (id, claim, place)
             USING (id, claim)
        WHERE n.id = held.id AND {WITHIN} AND held.status = 'processing'
        RETURNING n.id, {append_event("'released'")}
        """


def sent(claimed: Claimed, attempt: Attempt) -> Settlement:
    """processing -> sent."""
    return Settlement(claimed.id, claimed.claim, "sent", attempt)


def retry(claimed: Claimed, attempt: Attempt, delay: float) -> Settlement:
    """processing -> pending, due again in `delay` seconds; the attempt counts."""
    return Settlement(claimed.id, claimed.claim, "pending", attempt, delay=delay)


def awaiting(claimed: Claimed, attempt: Attempt) -> Settlement:
    """processing -> pending, until evidence settles it or the time for that is over; the attempt counts.

    For `onUncertain: "hold"`, after `doubt` with a time. It is sent again only by `replay`.
    """
    return Settlement(claimed.id, claimed.claim, "pending", attempt)


def failed(claimed: Claimed, attempt: Attempt, reason: str) -> Settlement:
    """processing -> failed: `rejected`, `exhausted` or `outcome-unknown`."""
    return Settlement(claimed.id, claimed.claim, "failed", attempt, reason=reason)


def bounced(claimed: Claimed, attempt: Attempt, address: int = 0) -> Settlement:
    """processing -> failed (rejected); an address goes on the client's suppression list.

    `address`: its index in the row's `mailboxes`; 0 is the recipient.
    """
    return Settlement(claimed.id, claimed.claim, "failed", attempt, reason="rejected", suppress=address)


def settle(
    settlements: Sequence[Settlement], grace: float, now: float, sending: Sending | None = None
) -> set[tuple[int, int]]:
    """processing -> sent, pending or failed: record outcomes and their attempts.

    Return the (id, claim) pairs that were still owned; for the others nothing is recorded. A row that is retried is
    left to the relay `grace` seconds after it is due. If its outcome is uncertain, it is bound to its provider from now
    on: another one would not know the first copy.

    `now` is the process's `time.monotonic()`, against which the attempts' times are measured. `sending`, if given,
    is recorded in the same statement: its notifications may be begun afterwards.
    """
    given = settlement_rows(settlements, now)
    recorded = prepared(
        "settle",
        _settle(given.sql, bounces=any(s.suppress is not None for s in settlements), sending=sending is not None),
        *given.values,
        [s.id for s in settlements],
        grace,
        *span(s.id for s in settlements),
        *sending_values(sending),
    )
    owned = {row[0] for row in recorded}
    return {(s.id, s.claim) for s in settlements if s.id in owned}


def _settle(settlement_row: str, *, bounces: bool, sending: bool) -> str:
    """Return the statement. Parameters: those of `settlement_row`, ids, grace, span, those of RECORD_SENDING."""
    begun = f", begun AS ({RECORD_SENDING})" if sending else ""
    return f"""
        WITH settlement AS MATERIALIZED ({settlement_row}), {HELD}, settled AS (
            UPDATE notifications AS n
            SET status = v.status, {UNCLAIMED},
                attempt_count = n.attempt_count + 1,
                retry_count = n.retry_count + (v.status = 'pending')::int,
                last_error = CASE WHEN v.status = 'sent' THEN n.last_error ELSE v.text END,
                failure_reason = v.reason,
                next_attempt_at = CASE WHEN v.status = 'pending'
                                       THEN coalesce(now() + v.delay * interval '1 second', {KEPT_UNTIL}) END,
                dispatch_after = CASE WHEN v.status = 'pending'
                                      THEN coalesce(now() + (v.delay + %s) * interval '1 second', {NOT_BEFORE}) END,
                evidence_until = CASE WHEN v.status = 'pending' AND v.delay IS NULL THEN {KEPT_UNTIL}
                                      WHEN v.status = 'pending' THEN n.evidence_until END,
                throttled_since = NULL,
                bound_provider = CASE WHEN v.outcome = 'uncertain' AND (n.failover = 'safe' OR v.delay IS NULL)
                                      THEN coalesce(n.bound_provider, v.provider) ELSE n.bound_provider END,
                finished_at = CASE WHEN v.status <> 'pending' THEN now() END
            FROM held JOIN settlement AS v USING (id, claim)
            WHERE n.id = held.id AND {WITHIN} AND held.status = 'processing'
            RETURNING n.id, n.claim, n.attempt_count, {ENDED}{_ADDRESS if bounces else ""}, {ENQUEUE_CALLBACKS},
                      {append_event("CASE n.status WHEN 'pending' THEN 'retry' ELSE n.status END")}
        ), {counting("settled")}{_SUPPRESS_BOUNCED if bounces else ""}{begun}
        INSERT INTO attempts (notification_id, number, outcome, worker, provider, started_at, finished_at,
                              phase, reply_code, enhanced_code, text, provider_message_id)
        SELECT settled.id, settled.attempt_count, v.outcome, v.worker, v.provider,
               now() - v.started_ago * interval '1 second', now() - v.finished_ago * interval '1 second',
               v.phase, v.reply_code, v.enhanced_code, v.text, v.provider_message_id
        FROM settled JOIN settlement AS v USING (id, claim)
        RETURNING notification_id
        """


def release(claims: Sequence[tuple[int, int]]) -> list[int]:
    """processing -> pending, for (id, claim) pairs that were not begun. Costs no attempt.

    Return the ids that were moved.
    """
    return returned_ids(_RELEASE, *by_claim(claims))


def postpone(claims: Sequence[tuple[int, int]], delay: float, text: str, spread: float = 0.0) -> list[int]:
    """processing -> pending, for (id, claim) pairs that the provider refused only because we send too fast.

    The first is due again in `delay` seconds, each other one `spread` seconds after the one before, and `text` becomes
    their last error. Costs no attempt; the row keeps since when it has been throttled. Return the ids that were moved.
    """
    first = delay - spread  # places count from 1
    due = (first, spread, first, spread)
    return returned_ids(_POSTPONE, [id for id, _ in claims], text, *due, *by_claim(claims)[1:])
